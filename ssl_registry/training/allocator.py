"""How the C library keeps the memory that tensors on the CPU are taken from."""

from __future__ import annotations

import ctypes
import os
import sys

# Names of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST = 2**31 - 1
_LARGEST_OF_OLD = 32 << 20  # older releases refuse a larger threshold for mapping
_TOP_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Tell glibc to keep memory that was freed for the next step, in place of giving it back.

    By default glibc maps each large tensor anew and gives it back when it is freed, so that every
    step has the kernel clear its pages again: a tenth to a quarter of a step's time. Kept memory
    is used again by the next step; the peak of the process grows by a few per cent, and what it
    has once used it keeps until it ends.

    Nothing is done with other C libraries, nor where the environment sets `MALLOC_...` or
    `GLIBC_TUNABLES`, for then somebody has decided otherwise.

    Returns:
        Whether glibc was told.
    """
    if sys.platform != "linux" or _is_set_by_user():
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    wishes = (
        (_MMAP_THRESHOLD, (_LARGEST, _LARGEST_OF_OLD)),
        (_TRIM_THRESHOLD, (_LARGEST,)),
        (_TOP_PAD, (_TOP_PAD_BYTES,)),
    )
    taken = [any(library.mallopt(name, value) for value in values) for name, values in wishes]
    return all(taken)


def _is_set_by_user() -> bool:
    return any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
