"""Stored images that memory cannot hold: the rows of a batch are asked of the disk all at once.

A row that is not in memory is else read when it is touched, one after another, and each time the
system reads what lies around it too, which a shuffled order does not use. Told beforehand which
rows are wanted, it reads these alone, as many at a time as the disk takes. This is advice:
pixels are the same with and without it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARE: Final = 0.5
"""Arrays that take more than this share of the available memory together are streamed.

The network, its gradients and its activations need the rest.
"""
_MEMORY: Final = Path("/proc/meminfo")
_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""What a container may take at most, by the second and the first version of control groups."""


def are_streamed(arrays: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether these arrays, used together, are too large to stay in memory; see `SHARE`."""
    available = available_memory()
    return available is not None and sum(array.nbytes for array in arrays) > SHARE * available


def available_memory() -> int | None:
    """Bytes that programs and mapped files may still take; None where the system does not say."""
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        available = int(facts["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # a limit may be the word `max`
            available = min(available, int(path.read_text(encoding="ascii")))
    return available


class ReadAhead:
    """Has the rows of an array read into memory, if it is mapped from a file."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._row_bytes = array.dtype.itemsize * math.prod(array.shape[1:])
        self._file: int | None = None
        # A part of a mapped array does not say where in the file it begins.
        whole = isinstance(array.base, mmap.mmap) and array.flags.c_contiguous
        if whole and isinstance(array, np.memmap) and hasattr(os, "posix_fadvise"):
            self._start = array.offset
            with contextlib.suppress(OSError):  # removed meanwhile, while it stays mapped
                self._file = os.open(str(array.filename), os.O_RDONLY)
                weakref.finalize(self, os.close, self._file)

    def rows(self, places: NDArray[np.int64]) -> None:
        """Ask for the rows at `places`, in any order; comes back before they are there."""
        if self._file is None:
            return
        wanted = np.unique(places)
        # Neighbours are one read.
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1) if len(wanted) else []
        for run in runs:
            start, size = self._start + int(run[0]) * self._row_bytes, len(run) * self._row_bytes
            os.posix_fadvise(self._file, start, size, os.POSIX_FADV_WILLNEED)


def reads_ahead(arrays: Sequence[NDArray[np.uint8]]) -> tuple[ReadAhead, ...]:
    """One for each array if they are streamed, else none."""
    return tuple(ReadAhead(array) for array in arrays) if are_streamed(arrays) else ()
