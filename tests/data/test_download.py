"""Downloading a release from a real server on this machine, in all the ways that go wrong."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ssl_registry import DatasetInfo, Download, Release
from ssl_registry.build import create
from ssl_registry.cli.runner import runner
from ssl_registry.data import download as downloading
from ssl_registry.data.transfer import ResumingDownloader, TransferError
from ssl_registry.data.unpack import unpack
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset

NAME = "release.zip"


@dataclass
class Site:
    """What the server has and how it misbehaves; `asked` are the Range headers it got."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    version: str = '"one"'
    tells_length: bool = True
    chunked: bool = False
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    stall: threading.Event | None = None
    address: str = ""

    def url(self, name: str = NAME) -> str:
        return f"{self.address}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        site.asked.append(wanted)
        self.close_connection = True
        content = site.files.get(self.path.lstrip("/"))
        status = site.statuses.pop(0) if site.statuses else 200 if content is not None else 404
        if status != 200 or content is None:
            return self.send_error(status)
        start = 0
        if wanted and site.ranges and self.headers.get("If-Range", site.version) == site.version:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if site.version:
            self.send_header("ETag", site.version)
        if site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif site.tells_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.send(content[start:])
        return None

    def send(self, body: bytes) -> None:
        cut = bool(self.site.cuts)
        if cut:
            body = body[: self.site.cuts.pop(0)]
        self.site.sent += len(body)
        if self.site.chunked:
            body = b"".join(
                b"%x\r\n%s\r\n" % (len(body[at : at + 500]), body[at : at + 500])
                for at in range(0, len(body), 500)
            ) + (b"" if cut else b"0\r\n\r\n")
        self.wfile.write(body)
        self.wfile.flush()
        if self.site.stall is not None:
            self.site.stall.wait(60)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = Site()
    handler = type("OneHandler", (Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, which are not waited."""
    waited: list[float] = []
    monkeypatch.setattr("ssl_registry.data.transfer.time.sleep", waited.append)
    return waited


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, Path("Dataset_BUSI_with_GT") / path.relative_to(folder))
    return buffer.getvalue()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture(scope="session")
def archive(tiny_busi: Path) -> bytes:
    return zipped(tiny_busi)


def with_release(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    """Let the dataset `busi` have a release with these facts."""
    factory = type(create("dataset", "busi"))
    info: DatasetInfo = factory.info
    assert info.release is not None
    facts = {"totals": {}, **facts}
    changed = replace(info, release=replace(info.release, **facts))
    monkeypatch.setattr(factory, "info", changed)


@pytest.fixture
def part(site: Site, archive: bytes) -> Download:
    """The one file of the release, on the server with its right checksum."""
    site.files[NAME] = archive
    return Download(site.url(), NAME, sha256(archive))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "busi"


@pytest.fixture
def busi(monkeypatch: pytest.MonkeyPatch, part: Download, root: Path) -> Dataset:
    with_release(monkeypatch, downloads=(part,))
    return create("dataset", "busi", root=root)  # type: ignore[no-any-return]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def same_as(root: Path, tiny_busi: Path) -> bool:
    return contents(root / "Dataset_BUSI_with_GT") == contents(tiny_busi)


def work(root: Path) -> list[str]:
    """What lies beside the dataset's folder, and in the folder of its download."""
    return sorted(str(path.relative_to(root.parent)) for path in root.parent.glob("busi.*/**/*"))


def test_a_release_is_fetched_unpacked_and_put_in_place(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path
) -> None:
    assert downloading.download(busi, root) == ()
    assert same_as(root, tiny_busi)
    assert [path.name for path in root.parent.iterdir()] == ["busi"]
    assert site.asked == [None]
    umask = os.umask(0)
    os.umask(umask)
    assert {p.stat().st_mode & 0o777 for p in root.rglob("*.png")} == {0o666 & ~umask}


def test_a_lost_connection_is_gone_on_with(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, archive: bytes, naps: list[float]
) -> None:
    site.cuts = [1000, 0, 0, 2000]
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.asked == [None, *["bytes=1000-"] * 3, "bytes=3000-"]
    assert site.sent == len(archive)
    assert naps == [1.0, 2.0, 4.0, 1.0]


def test_what_came_is_kept_for_the_next_call(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, archive: bytes, naps: list[float]
) -> None:
    site.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(TransferError, match=r"lost .* too early; call again to go on"):
        downloading.download(busi, root)
    assert not root.exists()
    assert (root.parent / f"busi.download/{NAME}.part").read_bytes() == archive[:1000]
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.sent == len(archive)
    assert work(root) == []


def test_a_killed_process_leaves_what_the_next_one_needs(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, archive: bytes
) -> None:
    site.cuts, site.stall = [5000], threading.Event()
    code = (
        "import sys; from pathlib import Path\n"
        "from ssl_registry.data.transfer import ResumingDownloader\n"
        "ResumingDownloader(Path(sys.argv[2]), '')(sys.argv[1], sys.argv[2] + '.end')\n"
    )
    partial = root.parent / f"busi.download/{NAME}.part"
    process = subprocess.Popen([sys.executable, "-c", code, site.url(), partial])
    end = time.monotonic() + 60
    while not partial.exists() or not partial.with_name(f"{partial.name}.json").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    site.stall.set()
    site.stall = None
    # Whether the system had written the first bytes or not, what follows must fit.
    have = partial.stat().st_size
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.asked == [None, f"bytes={have}-" if have else None]


def test_without_ranges_it_starts_anew(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, naps: list[float]
) -> None:
    site.ranges, site.cuts = False, [1000]
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.asked == [None, "bytes=1000-"]


def test_a_file_that_changed_meanwhile_is_not_mixed(
    site: Site, tmp_path: Path, naps: list[float]
) -> None:
    site.files[NAME], site.cuts = b"old" * 1000, [1000] + [0] * 5
    fetch = ResumingDownloader(tmp_path / "x.part", checksum="")
    with pytest.raises(TransferError):
        fetch(site.url(), tmp_path / "x")
    site.files[NAME], site.version, site.cuts = b"new" * 1000, '"two"', []
    fetch(site.url(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"new" * 1000
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]


@pytest.mark.parametrize("version", ["", 'W/"weak"'])
def test_without_version_and_checksum_nothing_is_gone_on_with(
    site: Site, tmp_path: Path, version: str, naps: list[float]
) -> None:
    site.files[NAME], site.version, site.cuts = b"abc" * 1000, version, [1000]
    ResumingDownloader(tmp_path / "x.part", checksum="")(site.url(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abc" * 1000
    assert site.asked == [None, None]


def test_a_file_of_unknown_length(busi: Dataset, site: Site, root: Path, tiny_busi: Path) -> None:
    site.tells_length = False
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_sent_in_chunks(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, ranges: bool, naps: list[float]
) -> None:
    site.chunked, site.ranges, site.cuts = True, ranges, [1000]
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert len(site.asked) == 2


def test_a_file_that_is_complete_already(site: Site, tmp_path: Path) -> None:
    content = site.files[NAME] = b"abc" * 1000
    (tmp_path / "x.part").write_bytes(content)
    ResumingDownloader(tmp_path / "x.part", sha256(content))(site.url(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == content
    assert (site.asked, site.sent) == (["bytes=3000-"], 0)


def test_a_part_longer_than_the_file(site: Site, tmp_path: Path, naps: list[float]) -> None:
    content = site.files[NAME] = b"abc" * 1000
    (tmp_path / "x.part").write_bytes(content + b"more")
    ResumingDownloader(tmp_path / "x.part", sha256(content))(site.url(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == content
    assert site.asked == ["bytes=3004-", None]


def test_a_wrong_checksum(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, archive: bytes
) -> None:
    site.files[NAME] = bytes([archive[0] ^ 1]) + archive[1:]
    with pytest.raises(DataError) as error:
        downloading.download(busi, root)
    assert sha256(archive) in str(error.value)
    assert sha256(site.files[NAME]) in str(error.value)
    assert list(root.parent.iterdir()) == []
    site.files[NAME] = archive
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)


def test_md5_is_understood(site: Site, tmp_path: Path) -> None:
    site.files[NAME] = b"abc"
    good = "md5:900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5
    ResumingDownloader(tmp_path / "x.part", good)(site.url(), tmp_path / "x")
    with pytest.raises(DataError, match="900150983cd24fb0d6963f7d28e17f72"):
        ResumingDownloader(tmp_path / "x.part", "md5:" + "0" * 32)(site.url(), tmp_path / "x")


def test_404_is_final_and_says_how_to_help_oneself(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, archive: bytes
) -> None:
    del site.files[NAME]
    with pytest.raises(TransferError, match=r"404 Not Found.*by hand") as error:
        downloading.download(busi, root)
    assert site.asked == [None]
    assert list(root.parent.iterdir()) == []
    folder = root.parent / "busi.download"
    assert f"put it into {folder}" in str(error.value)
    folder.mkdir()
    (folder / NAME).write_bytes(archive)
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.asked == [None]


def test_a_file_put_there_by_hand_is_checked(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path
) -> None:
    folder = root.parent / "busi.download"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(b"<html>please log in</html>")
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert site.asked == [None]


def test_a_busy_server_is_asked_again(
    busi: Dataset, site: Site, root: Path, tiny_busi: Path, naps: list[float]
) -> None:
    site.statuses = [503, 429, 200]
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)
    assert len(site.asked) == 3


def test_no_server(busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("ssl_registry.data.transfer.time.sleep", waited.append)
    with_release(monkeypatch, downloads=(Download("http://127.0.0.1:9/x.zip", "x.zip"),))
    with pytest.raises(TransferError, match=r"no connection .*refused"):
        downloading.download(busi, root)
    assert waited == [1.0, 2.0, 4.0, 8.0]
    assert list(root.parent.iterdir()) == []


def test_no_such_server(
    busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    part = Download("https://data.example/x.zip", "x.zip")
    with_release(monkeypatch, downloads=(part,), by_hand="ask the authors")
    with pytest.raises(TransferError, match=r"no such server.*; or by hand: ask the authors"):
        downloading.download(busi, root)
    assert naps == []


class Usage:
    """Stands in for `shutil.disk_usage`."""

    def __init__(self, free: int) -> None:
        self.free = free

    def __call__(self, path: Path) -> Usage:
        assert path.exists()
        return self


@pytest.mark.parametrize("said", ["by the release", "by the server", "by the archive"])
def test_too_little_room(
    busi: Dataset,
    site: Site,
    part: Download,
    root: Path,
    said: str,
    archive: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(archive)
    if said == "by the release":
        # Room for the archive but not for what is in it.
        with_release(monkeypatch, downloads=(replace(part, size=size),))
        free, again, match = 2 * size, True, "the download, with the unpacked files, needs"
    elif said == "by the server":
        free, again, match = size - 1, True, "the rest of"
    else:
        unpacked = sum(e.file_size for e in zipfile.ZipFile(io.BytesIO(archive)).infolist())
        monkeypatch.setattr(downloading, "need_room", lambda *_: None)
        monkeypatch.setattr("ssl_registry.data.transfer.need_room", lambda *_: None)
        free, again, match = unpacked - 1, False, f"unpacking {NAME} needs"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", Usage(free))
        with pytest.raises(DataError, match=f"{match}.*free in"):
            downloading.download(busi, root)
    assert work(root) == ([] if again else [f"busi.download/{NAME}"])
    assert not root.exists()
    asked = len(site.asked)
    downloading.download(busi, root)
    assert site.asked[asked:] == ([None] if again else [])  # the whole archive, or nothing


def test_a_full_disk_while_unpacking_leaves_nothing(
    busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, name: str, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr("ssl_registry.data.unpack._Tree.add_file", full)
    with pytest.raises(OSError, match="No space left"):
        downloading.download(busi, root)
    assert work(root) == ["busi.download/" + NAME]


@pytest.mark.parametrize("taken", ["folder", "file", "link"])
def test_what_lies_there_is_not_touched(busi: Dataset, site: Site, root: Path, taken: str) -> None:
    root.parent.mkdir()
    if taken == "folder":
        root.mkdir()
        (root / "mine.txt").write_text("mine")
    elif taken == "file":
        root.write_text("mine")
    else:
        root.symlink_to("nowhere")
    before = contents(root.parent)
    with pytest.raises(DataError, match="is there already and is not overwritten"):
        downloading.download(busi, root)
    assert contents(root.parent) == before
    assert site.asked == []


def test_a_place_below_a_file_is_no_place(busi: Dataset, site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"cannot make the folder .*name another folder"):
        downloading.download(busi, tmp_path / "file" / "busi")
    assert site.asked == []


def test_an_empty_folder_may_be_there(busi: Dataset, root: Path, tiny_busi: Path) -> None:
    root.mkdir(parents=True)
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)


def test_what_another_process_put_there_meanwhile_stays(
    busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = unpack

    def slow(archive: Path, folder: Path) -> None:
        plain(archive, folder)
        root.mkdir()
        (root / "theirs").write_text("theirs")

    monkeypatch.setattr(downloading, "unpack", slow)
    with pytest.raises(DataError, match="there already"):
        downloading.download(busi, root)
    assert contents(root) == {"theirs": b"theirs"}


def test_one_process_at_a_time(
    busi: Dataset, root: Path, tiny_busi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = unpack, []

    def unpack_while_another_starts(archive: Path, folder: Path) -> None:
        with pytest.raises(DataError, match="another process is downloading"):
            downloading.download(busi, root)
        seen.append(archive.name)
        plain(archive, folder)

    monkeypatch.setattr(downloading, "unpack", unpack_while_another_starts)
    downloading.download(busi, root)
    assert seen == [NAME]
    assert same_as(root, tiny_busi)


def test_a_malicious_archive_is_set_aside(
    site: Site, busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bad:
        bad.writestr("Dataset_BUSI_with_GT/benign/benign (1).png", b"x")
        bad.writestr("../../escaped", b"x")
    site.files[NAME] = buffer.getvalue()
    with_release(monkeypatch, downloads=(Download(site.url(), NAME),))
    with pytest.raises(DataError, match=r"refused.*escaped.*set aside as release.zip.refused"):
        downloading.download(busi, root)
    assert work(root) == [f"busi.download/{NAME}.refused"]
    assert not root.exists()


def test_half_an_archive_without_checksum(
    site: Site, busi: Dataset, root: Path, tiny_busi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = site.files[NAME]
    site.files[NAME] = whole[: len(whole) // 2]
    with_release(monkeypatch, downloads=(Download(site.url(), NAME),))
    with pytest.raises(DataError, match="only the beginning of one"):
        downloading.download(busi, root)
    assert not root.exists()
    site.files[NAME] = whole
    downloading.download(busi, root)
    assert same_as(root, tiny_busi)


def test_another_release_than_expected(
    site: Site, busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as other:
        other.writestr("CAMUS_public/database_nifti/patient0001/x.nii.gz", b"x")
    site.files[NAME] = buffer.getvalue()
    with_release(monkeypatch, downloads=(Download(site.url(), NAME),))
    with pytest.raises(DataError, match=r"not what it should be.*what was unpacked") as error:
        downloading.download(busi, root)
    assert "busi.download/unpacked" not in str(error.value)
    assert not root.exists()
    assert work(root) == [f"busi.download/{NAME}"]


def test_several_files_go_into_one_folder(
    site: Site, busi: Dataset, part: Download, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["list.csv"] = b"id,split\n"
    extra = Download(site.url("list.csv"), "list.csv", archive=False)
    with_release(monkeypatch, downloads=(part, extra))
    kept = downloading.download(busi, root, keep_archives=True)
    assert (root / "list.csv").read_bytes() == b"id,split\n"
    assert len(busi.samples()) == 40
    assert [path.name for path in kept] == [NAME, "list.csv"]
    assert all(path.is_file() for path in kept)


def test_only_the_web_is_asked(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with pytest.raises(Exception, match="must be http"):
        ResumingDownloader(tmp_path / "x.part", "")(secret.as_uri(), tmp_path / "x")


def command(*words: str) -> Result:
    return CliRunner().invoke(runner, ["data", "download", "busi", *words])


def test_the_command(
    busi: Dataset, site: Site, root: Path, monkeypatch: pytest.MonkeyPatch, tiny_busi: Path
) -> None:
    refused = command("--to", str(root))
    assert refused.exit_code == 2
    assert "CC BY 4.0" in refused.stderr
    assert "add --accept-licence" in refused.stderr
    assert site.asked == []
    nowhere = command("--accept-licence")
    assert nowhere.exit_code == 2
    assert "give --to DIR, or set the environment variable SSL_REGISTRY_DATA" in nowhere.stderr
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(root.parent))
    done = command("--accept-licence", "--keep-archive")
    assert done.exit_code == 0, done.output
    kept = root.parent / "busi.download" / NAME
    assert done.stdout == f"busi: 40 images in {root}\nkept: {kept}\n"
    assert "differ" not in done.stderr
    again = command("--accept-licence")
    assert again.exit_code == 2
    assert "not overwritten" in again.stderr


def test_the_command_tells_where_counts_differ(
    busi: Dataset, part: Download, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = {"images": 780, "label/normal": 10}
    with_release(monkeypatch, downloads=(part,), totals=totals)
    done = command("--to", str(root), "--accept-licence")
    assert done.exit_code == 0, done.output
    assert f"differ (images); see ssl-registry data verify busi={root}" in done.stderr


def test_ctrl_c_says_how_to_go_on(
    busi: Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ResumingDownloader, "__call__", stopped)
    result = command("--to", str(root), "--accept-licence")
    assert result.exit_code == 130
    words = f"ssl-registry data download busi --to {root} --accept-licence"
    assert result.stderr.splitlines()[-1] == f"interrupted; to go on: {words}"
    assert not root.exists()


@pytest.mark.parametrize(
    ("release", "message"),
    [
        (None, "does not say where it can be fetched; its source is https://scholar"),
        (Release("1", by_hand="ask the authors"), "by a program: ask the authors"),
    ],
)
def test_what_cannot_be_fetched(
    release: Release | None, message: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory = type(create("dataset", "busi"))
    monkeypatch.setattr(factory, "info", replace(factory.info, release=release))
    result = command("--to", str(root), "--accept-licence")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not root.parent.exists()


@pytest.mark.parametrize(("answer", "message"), [("y", "404"), ("n", "nothing was downloaded")])
def test_on_a_terminal_it_asks(site: Site, root: Path, answer: str, message: str) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from ssl_registry import Download\n"
        "from ssl_registry.build import create\n"
        "from ssl_registry.cli.runner import runner\n"
        "busi = type(create('dataset', 'busi'))\n"
        "file = Download(sys.argv[1], 'x.zip')\n"
        "busi.info = replace(busi.info, release=replace(busi.info.release, downloads=(file,)))\n"
        "runner.main(['data', 'download', 'busi', '--to', sys.argv[2]])\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, site.url(), root],
        stdin=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    _, stderr = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 2
    assert "Do you accept the licence? [y/N]" in stderr
    assert message in stderr
    assert len(site.asked) == (answer == "y")
