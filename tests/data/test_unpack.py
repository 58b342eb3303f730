"""Unpacking: what is in a good archive, and all that a bad one is refused for."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_registry.data import unpack as unpacking
from ssl_registry.data.unpack import ArchiveError, unpack
from ssl_registry.errors import DataError

FILES = {"set/a.png": b"picture", "set/deep/er/b.png": b"", "c (1).txt": b"text" * 5000}
MODES = ["zip", "zip-stored", "tar", "tar.gz", "tar.xz", "tar.bz2"]


def pack(path: Path, files: dict[str, bytes], mode: str) -> Path:
    if mode.startswith("zip"):
        method = zipfile.ZIP_STORED if mode == "zip-stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", method) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
    else:
        kind: Any = f"w:{mode.partition('.')[2]}"
        with tarfile.open(path, kind) as tar:
            for name, content in files.items():
                add(tar, name, content)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **facts: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in facts.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to unpack into, with a file beside it that nobody may touch."""
    (tmp_path / "outside").write_text("mine")
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    return inside


@pytest.fixture(autouse=True)
def untouched(tmp_path: Path, folder: Path) -> object:
    yield None
    assert (tmp_path / "outside").read_text() == "mine"
    here = {p.name for p in tmp_path.iterdir()} | {p.name for p in folder.parent.iterdir()}
    assert here <= {"outside", "deep", "inside", "archive", "image-cache"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("mode", MODES)
def test_files_come_out_as_they_went_in(folder: Path, tmp_path: Path, mode: str) -> None:
    unpack(pack(tmp_path / "archive", FILES, mode), folder)
    assert contents(folder) == FILES


def test_folders_and_names_of_windows(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as opened:
        opened.writestr("empty/", b"")
        opened.writestr("./set/a.png", b"a")
        entry = zipfile.ZipInfo("x")
        entry.filename = "set\\b.png"
        opened.writestr(entry, b"b")
    unpack(tmp_path / "archive", folder)
    assert contents(folder) == {"set/a.png": b"a", "set/b.png": b"b"}
    assert (folder / "empty").is_dir()


BAD_NAMES = [
    "../outside",
    "../../outside",
    "set/../../outside",
    "set/..",
    "/etc/outside",
    "//host/outside",
    "..\\outside",
    "set\\..\\..\\outside",
    "\\outside",
    "C:\\outside",
    "C:outside",
    "\\\\host\\share\\outside",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("mode", ["zip", "tar"])
def test_names_that_lead_out(folder: Path, tmp_path: Path, name: str, mode: str) -> None:
    archive = pack(tmp_path / "archive", {"good": b"x", name: b"x"}, mode)
    with pytest.raises(ArchiveError, match="leads out of the folder") as error:
        unpack(archive, folder)
    assert repr(name) in str(error.value)
    assert str(archive) in str(error.value)


@pytest.mark.parametrize("name", ["../gone/", "/gone/"])
def test_folders_that_lead_out(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="leads out"):
        unpack(pack(tmp_path / "archive", {name: b""}, "zip"), folder)


def linked(path: Path, mode: str, *links: tuple[str, str]) -> Path:
    """An archive of `set/a` and links, soft ones or (`hard`) hard ones."""
    if mode == "zip":
        with zipfile.ZipFile(path, "w") as opened:
            opened.writestr("set/a", b"a")
            for name, target in links:
                entry = zipfile.ZipInfo(name)
                entry.create_system = 3
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                opened.writestr(entry, target)
        return path
    kind = tarfile.SYMTYPE if mode == "tar" else tarfile.LNKTYPE
    with tarfile.open(path, "w") as tar:
        add(tar, "set/a", b"a")
        for name, target in links:
            add(tar, name, type=kind, linkname=target)
    return path


@pytest.mark.parametrize("mode", ["zip", "tar"])
@pytest.mark.parametrize("target", ["../../outside", "../../../x", "/etc/passwd", "a/../../../x"])
def test_soft_links_that_lead_out(folder: Path, tmp_path: Path, mode: str, target: str) -> None:
    with pytest.raises(ArchiveError, match=r"is a link to .*outside of the archive"):
        unpack(linked(tmp_path / "archive", mode, ("set/link", f"{target}")), folder)


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "set/../../outside"])
def test_hard_links_that_lead_out(folder: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(ArchiveError, match="outside of the archive"):
        unpack(linked(tmp_path / "archive", "hard", ("link", target)), folder)


@pytest.mark.parametrize("mode", ["zip", "tar"])
def test_links_inside_become_copies(folder: Path, tmp_path: Path, mode: str) -> None:
    links = [("other/second", "../first"), ("first", "set/a"), ("set/b", "a")]
    unpack(linked(tmp_path / "archive", mode, *links), folder)
    assert contents(folder) == dict.fromkeys(("set/a", "other/second", "first", "set/b"), b"a")


def test_hard_links_inside_become_copies(folder: Path, tmp_path: Path) -> None:
    unpack(linked(tmp_path / "archive", "hard", ("set/b", "set/a")), folder)
    assert contents(folder) == {"set/a": b"a", "set/b": b"a"}


@pytest.mark.parametrize(
    "links",
    [[("b", "c"), ("c", "b")], [("b", "b")], [("b", "nothing")], [("b", "set")], [("b", ".")]],
    ids=str,
)
def test_links_to_no_file_are_left_out(
    folder: Path,
    tmp_path: Path,
    links: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    unpack(linked(tmp_path / "archive", "tar", *links), folder)
    assert contents(folder) == {"set/a": b"a"}
    assert "archive: the link 'b' to" in capsys.readouterr().err


def test_nothing_is_written_through_a_link(folder: Path, tmp_path: Path) -> None:
    """The classic: a link to a folder outside, then a file in it."""
    with tarfile.open(tmp_path / "archive", "w") as tar:
        add(tar, "door", type=tarfile.SYMTYPE, linkname="..")
        add(tar, "door/outside", b"theirs")
    with pytest.raises(ArchiveError, match="outside of the archive"):
        unpack(tmp_path / "archive", folder)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices(folder: Path, tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "archive", "w") as tar:
        add(tar, "device", type=kind)
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(tmp_path / "archive", folder)


def test_a_device_in_a_zip(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as opened:
        entry = zipfile.ZipInfo("pipe")
        entry.external_attr = stat.S_IFIFO << 16
        opened.writestr(entry, b"")
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(tmp_path / "archive", folder)


@pytest.mark.parametrize("mode", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb(folder: Path, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS_ALLOWED", 1_100_000)
    harmless = {"zeros": bytes(10**6)}
    unpack(pack(tmp_path / "archive", harmless, mode), folder)
    assert contents(folder) == harmless
    shutil.rmtree(folder)
    folder.mkdir()
    pack(tmp_path / "archive", {f"{i}": bytes(2**19) for i in range(20)}, mode)
    with pytest.raises(ArchiveError, match=r"unpacks to more than 1\.[0-9] MB, which is absurd"):
        unpack(tmp_path / "archive", folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * 10**6


def test_real_images_are_no_bomb(folder: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 10**6, np.uint8).tobytes()
    unpack(pack(tmp_path / "archive", {"noise": noise}, "tar.xz"), folder)
    assert contents(folder) == {"noise": noise}


def test_copies_of_links_count(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS_ALLOWED", 10**6)
    monkeypatch.setattr(unpacking, "MOST_TIMES_ITS_LENGTH", 1)
    with tarfile.open(tmp_path / "archive", "w") as tar:
        add(tar, "big", bytes(10**5))
        for number in range(100):
            add(tar, f"{number}", type=tarfile.LNKTYPE, linkname="big")
    with pytest.raises(ArchiveError, match="absurd"):
        unpack(tmp_path / "archive", folder)


def test_too_many_entries(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 10)
    files = {f"{number}": b"" for number in range(11)}
    with pytest.raises(ArchiveError, match="more than 10 entries"):
        unpack(pack(tmp_path / "archive", files, "tar"), folder)


@pytest.mark.parametrize("mode", ["zip", "tar.gz"])
def test_no_room(folder: Path, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "archive", FILES, mode)
    usage = shutil.disk_usage(tmp_path)._replace(free=19_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    said = r"^unpacking archive needs 20\.0 kB, but only 20\.0 kB are free in "
    with pytest.raises(DataError, match=said):
        unpack(archive, folder)
    assert "c (1).txt" not in contents(folder)


@pytest.mark.parametrize("mode", MODES)
def test_half_an_archive(folder: Path, tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 2 * 10**5, np.uint8).tobytes()
    archive = pack(tmp_path / "archive", {"a": noise[: 10**5], "b": noise[10**5 :]}, mode)
    archive.write_bytes(archive.read_bytes()[:150_000])
    with pytest.raises(ArchiveError, match="archive"):
        unpack(archive, folder)


@pytest.mark.parametrize("mode", ["zip", "zip-stored", "tar.gz", "tar.xz", "tar.bz2"])
def test_flipped_bits(folder: Path, tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 10**5, np.uint8).tobytes()
    archive = pack(tmp_path / "archive", {"a": noise}, mode)
    content = bytearray(archive.read_bytes())
    content[40_000:40_100] = bytes(100)
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"cannot be unpacked|no zip or tar archive"):
        unpack(archive, folder)


@pytest.mark.parametrize("content", [b"", b"<html>please log in</html>", bytes(100)])
def test_no_archive(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(ArchiveError, match="is no zip or tar archive"):
        unpack(tmp_path / "archive", folder)


def test_nothing_inside(folder: Path, tmp_path: Path) -> None:
    for mode in ("zip", "tar"):
        with pytest.raises(ArchiveError, match="holds nothing"):
            unpack(pack(tmp_path / "archive", {}, mode), folder)


def test_a_name_twice(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "archive", "w") as tar:
        add(tar, "a", b"1")
        add(tar, "./a", b"2")
    with pytest.raises(ArchiveError, match="File exists"):
        unpack(tmp_path / "archive", folder)
    assert contents(folder) == {"a": b"1"}


def test_a_file_that_is_also_a_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack(pack(tmp_path / "archive", {"a": b"", "a/b": b""}, "tar"), folder)


def test_an_endless_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="name too long"):
        unpack(pack(tmp_path / "archive", {"a" * 300: b""}, "tar"), folder)


def encrypted(archive: Path) -> None:
    """Set the flag of encryption in both headers of the one entry."""
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)


def unknown_method(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 97
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "reason"), [(encrypted, "encrypted"), (unknown_method, "compression")]
)
def test_zips_that_cannot_be_read(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(pack(tmp_path / "archive", {"a": b"secret"}, "zip-stored"))
    with pytest.raises(ArchiveError, match=reason):
        unpack(tmp_path / "archive", folder)
