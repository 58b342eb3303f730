"""Building a decode cache: by one process at a time, and on from where a killed one stopped.

The folder `<key>.part` holds what is being built, and a lock that ends with its process. A
build that ends well becomes the folder `<key>`; one that fails, for want of room or because of a
damaged image, is removed; one that is killed or interrupted stays and is gone on with.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from ssl_registry.data.cache_place import CACHE_VARIABLE, LOCK, PART, remove_part
from ssl_registry.data.cache_rows import CacheSettings
from ssl_registry.data.cache_writer import INDEX, JOURNAL, write_cache
from ssl_registry.errors import RunError
from ssl_registry.file_lock import FileLock
from ssl_registry.files import publish
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import say


def build_cache(
    folder: Path, dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> None:
    """Make the cache `folder`, or wait for another process that is making it.

    Raises:
        DataError: A sample cannot be used; see `write_cache`.
        PluginError: The dataset breaks its contract.
        RunError: The cache cannot be written; names the folder and what to do.
    """
    advice = f"set {CACHE_VARIABLE} to a folder with room for the image cache"
    try:
        part, lock = _claim(folder, dataset.config.name)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write to {folder.parent}: {reason}; {advice}") from error
    if lock is None:
        return
    try:
        _build(part, lock, folder, dataset, samples, settings)
    except OSError as error:
        reason = error.strerror or error
        raise RunError(f"cannot write {folder}: {reason}; {advice}") from error
    except RunError as error:
        raise RunError(f"{error}; {advice}") from error
    finally:
        lock.release()


def _claim(folder: Path, name: str) -> tuple[Path, FileLock | None]:
    """The folder to build in and its lock; without a lock if another process has built all."""
    part = folder.with_name(folder.name + PART)
    lock, told = FileLock(part / LOCK), False
    while not (folder / INDEX).is_file():
        try:
            part.mkdir(parents=True, exist_ok=True)
            taken = lock.take(wait=told)
        except (FileNotFoundError, FileExistsError):
            if part.exists() and not part.is_dir():
                raise
            continue  # another process has put its folder in place, or removed it
        if taken and (folder / INDEX).is_file():
            remove_part(part, lock)
        elif taken:
            return (part, lock) if lock.held else (_own_part(folder, part, lock), lock)
        else:
            say(f"another process is caching {name}; waiting for it", sys.stderr)
            told = True
    return part, None


def _own_part(folder: Path, part: Path, lock: FileLock) -> Path:
    """A folder that no other process builds in, where there are no locks."""
    lock.remove()
    with contextlib.suppress(OSError):
        part.rmdir()
    own = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}{PART}")
    own.mkdir()
    return own


def _build(
    part: Path,
    lock: FileLock,
    folder: Path,
    dataset: Dataset,
    samples: Sequence[Sample],
    settings: CacheSettings,
) -> None:
    try:
        write_cache(part, dataset, samples, settings)
        publish(part, folder, marker=INDEX)
    except Exception:
        remove_part(part, lock)
        raise
    if part.is_dir() and not lock.held:
        shutil.rmtree(part, ignore_errors=True)  # another process without locks was faster
    for name in (JOURNAL, LOCK):
        with contextlib.suppress(OSError):
            (folder / name).unlink()
