"""Listing all files below a folder, quickly and in an order that no file system decides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ssl_registry import DataError

JUNK: Final = frozenset({"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"})
"""What operating systems leave in folders, besides hidden files."""

Files = dict[str, list[str]]
"""Folder below the root (ending with `/`, or empty) to the sorted names of its files."""


def list_files(root: Path) -> Files:
    """All files below `root`, by folder; hidden ones and what systems leave behind are not.

    Links to files are followed, and links to folders that are not listed anyway: not those to a
    folder below the root, around it, or below a folder that an earlier link leads to. So loops
    end. Broken links count as files, and fail when they are read.

    Raises:
        DataError: A folder cannot be read.
    """
    return dict(sorted(_walk(str(root), "", [os.path.realpath(root)])))


def _walk(path: str, folder: str, listed: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Folders at and below `path`; `listed` are the real places of the root and of links."""
    names: list[str] = []
    below: list[tuple[str, str]] = []
    for entry in _entries(path):
        if entry.name.startswith(".") or entry.name.lower() in JUNK:
            continue
        if not _is_dir(entry):
            names.append(entry.name)
        elif not entry.is_symlink() or _is_new(os.path.realpath(entry.path), listed):
            below.append((entry.name, entry.path))
    if names:
        yield folder, names
    for name, inner in below:
        yield from _walk(inner, f"{folder}{name}/", listed)


def _is_new(target: str, listed: list[str]) -> bool:
    """Whether a link's target is not listed yet; from now on it is."""
    new = not _is_in(listed[0], target) and not any(_is_in(target, place) for place in listed)
    if new:
        listed.append(target)
    return new


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"cannot list the folder {path}: {error.strerror}") from error


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_in(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder.rstrip('/')}/")
