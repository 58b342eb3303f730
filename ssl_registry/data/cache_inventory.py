"""What lies in the folder of image caches, and how it is removed."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ssl_registry.data.cache_place import LOCK, PART, remove_part
from ssl_registry.data.cache_rows import IMAGES
from ssl_registry.data.cache_writer import INDEX, JOURNAL, read_journal
from ssl_registry.errors import RunError
from ssl_registry.file_lock import FileLock
from ssl_registry.files import beside, read_json

State = Literal["complete", "building", "interrupted", "damaged"]

_NAME: Final = re.compile(r"\.?.+-[0-9]+px-[0-9a-f]+(\.[^/]*)?")
"""What a cache's folder is called, as `cache_key` names it; other folders are somebody else's."""


@dataclass(frozen=True)
class CacheEntry:
    """One cache, finished or not.

    Attributes:
        key: Name of the finished cache; part of it is enough to name it.
        folder: Where it lies.
        state: `complete`; `building` by a process that is alive; `interrupted`, to be gone on
            with by the next run that needs it; or `damaged`.
        dataset: Name of the dataset; empty if that is not known.
        settings: `size`, `channels` and `masks`; empty if they are not known.
        images: Its images when complete.
        bytes: What it takes on the disk.
        used: When it was last used or written, in seconds since 1970.
    """

    key: str
    folder: Path
    state: State
    dataset: str
    settings: dict[str, Any]
    images: int
    bytes: int
    used: float

    @property
    def idle_days(self) -> float:
        """Days since it was last used or written."""
        return max(0.0, time.time() - self.used) / 86400


def cache_entries(root: Path) -> list[CacheEntry]:
    """The caches in `root` by key; folders that are no caches are passed over."""
    if not root.is_dir():
        return []
    found = (_entry(folder) for folder in sorted(root.iterdir()))
    return [entry for entry in found if entry is not None]


def remove_cache(entry: CacheEntry) -> bool:
    """Remove a cache; gives False if it is being built and stays.

    A run that has it open goes on unharmed where the system keeps files that are open.

    Raises:
        RunError: It cannot be removed.
    """
    try:
        if entry.folder.name.endswith(PART):
            lock = FileLock(entry.folder / LOCK)
            if not lock.take():
                return False
            remove_part(entry.folder, lock)
        else:
            # Renamed first, so that nobody opens half of it.
            old = beside(entry.folder)
            entry.folder.rename(old)
            shutil.rmtree(old)
    except FileNotFoundError:
        return True  # somebody else has removed it
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot remove the image cache {entry.folder}: {reason}") from error
    return True


def _entry(folder: Path) -> CacheEntry | None:
    """The entry of a folder, if it is a cache."""
    state = _state(folder)
    if state is None:
        return None
    heading: dict[str, Any] = {}
    if folder.name.endswith(PART):
        heading, _ = read_journal(folder)
    elif state == "complete":
        try:
            heading = read_json(folder / INDEX)
        except RunError:
            state = "damaged"
    try:
        size, used = _taken(folder)
    except FileNotFoundError:
        return None  # removed at this moment
    return CacheEntry(
        key=folder.name.removesuffix(PART),
        folder=folder,
        state=state,
        dataset=heading.get("dataset", ""),
        settings=heading.get("settings", {}),
        images=heading.get("images", 0),
        bytes=size,
        used=used,
    )


def _state(folder: Path) -> State | None:
    """The state of a cache; None for what is no cache."""
    if not _NAME.fullmatch(folder.name):
        return None
    if folder.name.endswith(PART) and folder.is_dir():
        return "building" if _is_locked(folder) else "interrupted"
    if folder.name.startswith("."):
        # What a process left that was killed while it replaced or removed a cache.
        left = any((folder / name).is_file() for name in (INDEX, IMAGES))
        return "damaged" if left else None
    if (folder / INDEX).is_file():
        return "complete"
    return "damaged" if (folder / IMAGES).is_file() else None


def _is_locked(part: Path) -> bool:
    if not (part / LOCK).is_file():
        return False
    lock = FileLock(part / LOCK)
    try:
        taken = lock.take()
    except OSError:
        return False
    finally:
        lock.release()
    return not taken


def _taken(folder: Path) -> tuple[int, float]:
    """Bytes of a cache's files, and when it was last used."""
    size, used = 0, folder.stat().st_mtime
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            size += status.st_size
            if path.name in (INDEX, JOURNAL):
                used = status.st_mtime
    return size, used
