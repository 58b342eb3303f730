"""Writing files and folders so that a reader finds the old one or the new one, never half."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl_registry.errors import RunError
from ssl_registry.exchange import exchange


@contextmanager
def new_folder(target: Path, *, marker: str = "") -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it becomes `target` if the block ends well.

    An older `target` is replaced. If the block raises, nothing is left behind and the older
    one stays. Whoever writes the files, they become readable as the umask says.

    Args:
        target: The folder to make or replace.
        marker: If `target` holds a file of this name in the end, because another process was
            faster, it stays and the new folder is dropped.

    Raises:
        RunError: The place is not writable, or the disk is full.
    """
    temporary = beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise RunError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        yield temporary
        publish(temporary, target, marker=marker)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(folder: Path, target: Path, *, marker: str = "") -> None:
    """Put the finished `folder` where `target` is, whole and synced to the disk.

    Args:
        folder: A folder beside `target`.
        target: The folder to make or replace.
        marker: If `target` holds a file of this name, it stays and `folder` is left alone.

    Raises:
        OSError: The disk is full or cannot be written to.
    """
    _finish(folder)
    _replace(folder, target, marker)


def _finish(folder: Path) -> None:
    """Give the files in `folder` the permissions of the umask, and sync them to the disk."""
    # The folder was made by mkdir and so shows the umask, which Python can only read by setting.
    permissions = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(permissions)
        _sync(path)
    _sync(folder)


def _replace(folder: Path, target: Path, marker: str) -> None:
    """Put `folder` where `target` is; one that was there changes places with it and is removed.

    At each moment `target` is one of the two, whole. Only where the system cannot exchange two
    folders is the older moved away first. Other processes may do the same at the same time: one
    folder wins, whole.
    """
    while not _renamed(folder, target):
        if marker and (target / marker).is_file():
            return
        if exchange(folder, target):
            shutil.rmtree(folder, ignore_errors=True)
            break
        old = beside(target)
        try:
            target.rename(old)
        except FileNotFoundError:
            continue
        try:
            done = _renamed(folder, target)
        except OSError:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        if done:
            break
    _sync(target.parent)


def _renamed(folder: Path, target: Path) -> bool:
    """Rename `folder` to `target`; False if a folder with content is there."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 at once; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once: a reader sees all of it or the older one.

    Raises:
        RunError: The place is not writable, or the disk is full; the older file stays.
    """
    temporary = beside(path)
    try:
        temporary.write_bytes(content)
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, at once."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that this library wrote.

    Raises:
        RunError: It is missing or damaged; names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def beside(path: Path) -> Path:
    """A name next to `path` that nobody uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
