"""Room on a disk: looked at before much is written, and told in figures people read."""

from __future__ import annotations

import shutil
from pathlib import Path

from ssl_registry.errors import DataError
from ssl_registry.progress import Track

MEGABYTE = 10**6


def need_room(folder: Path, size: int, purpose: str) -> None:
    """Check that the disk of `folder`, which exists, has `size` bytes free.

    Raises:
        DataError: It has not; says how much is needed for `purpose`, and how much there is.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DataError(
            f"{purpose} needs {in_words(size)}, but only {in_words(free)} are free in {folder}; "
            "make room or choose another folder"
        )


def in_words(size: int) -> str:
    """A number of bytes as `950 B`, `3.4 MB` or `12.0 GB`, in powers of 1000."""
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size} B"


def megabytes(size: int) -> int:
    """Whole megabytes that `size` bytes fill or begin; at least 1."""
    return max(1, -(-size // MEGABYTE))


class MegabyteTrack:
    """Shows a position in bytes on a bar of whole megabytes."""

    def __init__(self, bar: Track, size: int, position: int = 0) -> None:
        """Take a bar of `megabytes(size)` units that stands at `position` bytes."""
        self._bar, self._size = bar, size
        self._shown = position // MEGABYTE

    def reach(self, position: int) -> None:
        """Show that `position` bytes are done; at the last byte the bar is full."""
        units = megabytes(self._size) if position >= self._size else position // MEGABYTE
        if units > self._shown:
            self._bar.advance(units - self._shown)
            self._shown = units
