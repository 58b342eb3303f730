"""How the C library keeps the memory that tensors on the CPU are taken from."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import sys
from pathlib import Path
from typing import Final

# Names of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_NEVER = -1
_LARGEST = 2**31 - 1
_LARGEST_OF_OLD = 32 << 20  # older releases refuse a larger threshold for mapping
_TOP_PAD_BYTES = 64 << 20

_HUGE_PAGES = 14  # MADV_HUGEPAGE of <sys/mman.h>
_PIECE = 16 << 20  # below the threshold for mapping, whichever was taken
_MOST_ROOM = 64 << 30
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_STRICT: Final = "2"


def keep_freed_memory() -> bool:
    """Tell glibc to keep memory that was freed for the next step, in place of giving it back.

    By default glibc maps each large tensor anew and gives it back when it is freed, so that every
    step has the kernel clear its pages again: a tenth to a quarter of a step's time. Kept memory
    is used again by the next step; the peak of the process grows by a few per cent, and what it
    has once used it keeps until it ends.

    Where the kernel gives huge pages to those who ask (`madvise`), it is asked for them for the
    heap, which can take a quarter of a step's time away and more (docs/benchmarks.md).

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
        (_TRIM_THRESHOLD, (_NEVER,)),
        (_TOP_PAD, (_TOP_PAD_BYTES,)),
    )
    taken = [any(library.mallopt(name, value) for value in values) for name, values in wishes]
    if all(taken) and _may_ask():
        _ask_for_huge_pages()
    return all(taken)


def _is_set_by_user() -> bool:
    return any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)


def _may_ask() -> bool:
    """Whether huge pages are for those who ask, and address space costs nothing."""
    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    if any(resource.getrlimit(limit)[0] != resource.RLIM_INFINITY for limit in limits):
        return False
    try:
        strict = _OVERCOMMIT.read_text(encoding="ascii").strip() == _STRICT
        return "[madvise]" in _SETTING.read_text(encoding="ascii") and not strict
    except OSError:
        return False


@functools.cache  # once for a process
def _ask_for_huge_pages() -> None:
    """Let the heap grow by half of the memory that is free, and ask for huge pages for that.

    It is address space alone: pages come when they are written to. The room is taken and given
    back in pieces, after which glibc keeps it at the end of its heap.
    """
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.sbrk.restype, library.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page = os.sysconf("SC_PAGE_SIZE")
    room = min(_MOST_ROOM, os.sysconf("SC_AVPHYS_PAGES") * page // 2)
    start = -(-library.sbrk(0) // page) * page
    pieces = [library.malloc(_PIECE) for _ in range(room // _PIECE)]
    for piece in reversed(pieces):
        library.free(piece)
    end = library.sbrk(0) // page * page
    if end > start:
        library.madvise(start, end - start, _HUGE_PAGES)
