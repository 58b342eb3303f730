from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ssl_registry.errors import RunError
from ssl_registry.exchange import exchange
from ssl_registry.files import new_folder, read_json, write_json, write_text


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("can_exchange", [True, False])
def test_folder_appears_whole_and_replaces_the_older(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr("ssl_registry.files.exchange", lambda *_: False)
    target = tmp_path / "deep" / "weights"
    for text in ("old", "new"):
        with new_folder(target) as temporary:
            (temporary / f"{text}.txt").write_text(text)
            (temporary / "inner").mkdir()
            (temporary / "inner" / "file").write_text(text)
            assert temporary.parent == target.parent
            assert not (target / f"{text}.txt").exists()
    assert names(target) == ["inner", "new.txt"]
    assert names(target.parent) == ["weights"]


def test_two_folders_change_places_in_one_step(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    assert exchange(one, other)
    assert ((one / "name").read_text(), (other / "name").read_text()) == ("other", "one")
    assert not exchange(one, tmp_path / "missing")
    assert names(tmp_path) == ["one", "other"]


def test_failure_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("old")
    for error in (KeyError, KeyboardInterrupt):
        with pytest.raises(error), new_folder(target) as temporary:
            (temporary / "a").write_text("half")
            raise error
    assert (target / "a").read_text() == "old"
    assert names(tmp_path) == ["weights"]


def test_failure_of_the_last_rename_puts_the_older_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "weights"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("old")
    rename, calls = Path.rename, []
    monkeypatch.setattr("ssl_registry.files.exchange", lambda *_: False)

    def failing(self: Path, other: Path) -> Path:
        calls.append(other)
        if len(calls) == 3:  # occupied, moved away, and now the new one
            raise OSError(5, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(RunError, match="Input/output error"), new_folder(target) as temporary:
        (temporary / "a").write_text("new")
    assert (target / "a").read_text() == "old"
    assert names(tmp_path) == ["weights"]


def test_permissions_follow_the_umask_whoever_writes(tmp_path: Path, umask: int) -> None:
    with new_folder(tmp_path / "weights") as temporary:
        save_file({"a": torch.zeros(2)}, temporary / "model.safetensors")
        write_json(temporary / "card.json", {"a": 1})
        (temporary / "plain.npy").write_bytes(b"0")
    assert mode(tmp_path / "weights") == 0o777 & ~umask
    for file in (tmp_path / "weights").iterdir():
        assert mode(file) == 0o666 & ~umask, file
    write_text(tmp_path / "file.txt", "text")
    assert mode(tmp_path / "file.txt") == 0o666 & ~umask


def test_marker_keeps_the_folder_of_a_faster_process(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    with new_folder(target, marker="index") as mine:
        (mine / "index").write_text("mine")
        with new_folder(target, marker="index") as other:
            (other / "index").write_text("other")
    assert (target / "index").read_text() == "other"
    assert names(tmp_path) == ["cache"]


def test_marker_does_not_keep_a_half_folder(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    target.mkdir()
    (target / "images").write_text("half")
    with new_folder(target, marker="index") as mine:
        (mine / "index").write_text("mine")
    assert names(target) == ["index"]
    assert names(tmp_path) == ["cache"]


def test_many_writers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    target, errors = tmp_path / "weights", []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        try:
            for _ in range(20):
                with new_folder(target) as temporary:
                    for name in "ab":
                        (temporary / name).write_text(str(number))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(tmp_path) == ["weights"]
    assert (target / "a").read_text() == (target / "b").read_text()


def test_killed_writer_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("old")
    code = (
        "import os, sys, pathlib; from ssl_registry.files import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])) as t:\n"
        "    (t / 'a').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert done.returncode == -9
    assert (target / "a").read_text() == "old"


@pytest.mark.parametrize("place", ["file/deep/weights", "/proc/weights"])
def test_unwritable_place_is_a_run_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / place
    with pytest.raises(RunError, match="cannot write to"), new_folder(target):
        pytest.fail("the block must not run")
    with pytest.raises(RunError, match=r"cannot write .*weights"):
        write_text(target, "text")
    assert names(tmp_path) == ["file"]


def test_folder_in_place_of_a_file_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(RunError, match="cannot write"), new_folder(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "precious"
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_a_run_error(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="No space left on device"),
        new_folder(tmp_path / "weights"),
        Path("/dev/full").open("w") as full,
    ):
        full.write("text")
    assert names(tmp_path) == []


def test_text_is_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"file\.txt: No space left"):
        write_text(path, "half")
    assert path.read_text() == "größer\n"
    assert names(tmp_path) == ["file.txt"]


def test_reader_never_sees_half_a_text(tmp_path: Path) -> None:
    path, texts = tmp_path / "file.txt", ["a" * 100_000, "b" * 50_000]
    write_text(path, texts[0])
    seen, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        write_text(path, texts[number % 2])
    stop.set()
    reader.join()
    assert seen <= set(texts)


def test_json_goes_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_json(path, {"a": [1, 2.5, None], "path": Path("x")})
    assert read_json(path) == {"a": [1, 2.5, None], "path": "x"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert read_json(path)["path"] == "x"


def test_missing_or_damaged_json_is_a_run_error(tmp_path: Path) -> None:
    for content in (None, b"{", b"\xff"):
        path = tmp_path / "card.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunError, match=r"cannot read .*card\.json"):
            read_json(path)


def test_temporary_files_share_the_disk_of_their_target(tmp_path: Path) -> None:
    target = tmp_path / "weights"
    with new_folder(target) as temporary:
        assert temporary.name.startswith(".weights.")
        assert temporary.stat().st_dev == tmp_path.stat().st_dev
    shutil.rmtree(target)
