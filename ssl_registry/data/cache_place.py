"""Where the image caches lie, and the folder in which one of them is being built."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from ssl_registry.file_lock import FileLock

CACHE_VARIABLE: Final = "SSL_REGISTRY_CACHE"
LOCK: Final = ".lock"
PART: Final = ".part"
"""Ends the name of a folder in which a cache is being built, or was until a kill."""


def cache_root() -> Path:
    """The folder of all caches: `$SSL_REGISTRY_CACHE`, else `ssl_registry` in the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ssl_registry"


def remove_part(part: Path, lock: FileLock) -> None:
    """Remove the folder of a build whose lock is held, and release the lock."""
    # The lock's file goes last: once it is gone, another process may begin here anew.
    with contextlib.suppress(OSError):
        for path in part.iterdir():
            if path.name != LOCK:
                path.unlink()
    lock.remove()
    with contextlib.suppress(OSError):
        part.rmdir()
