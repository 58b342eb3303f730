"""Writing files and folders so that a reader finds the old one or the new one, never half."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ssl_registry.errors import RunError


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it becomes `target` if the block ends well.

    An older `target` is replaced. If the block raises, nothing is left behind and the older
    one stays.

    Raises:
        RunError: The place is not writable.
    """
    temporary = beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
    except OSError as error:
        raise RunError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        yield temporary
        for file in temporary.iterdir():
            _sync(file)
        _replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(folder: Path, target: Path) -> None:
    """Put `folder` where `target` is; a folder that was there is moved away first."""
    old = beside(target)
    try:
        target.rename(old)
    except FileNotFoundError:
        folder.rename(target)
    else:
        folder.rename(target)
        shutil.rmtree(old)
    _sync(target.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file at once: a reader sees all of it or the older one.

    Raises:
        RunError: The place is not writable, or the disk is full; the older file stays.
    """
    temporary = beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


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
