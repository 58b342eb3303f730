"""Memory that processes share: slots of rows, each filled by one and read by another."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ssl_registry.data.cache_rows import Arrays

TASK_SAMPLES = 64
TASK_BYTES = 2**20
"""A task has so many samples, or fewer if their rows have more bytes; at least one."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Slots:
    """Slots in shared memory.

    Attributes:
        descriptor: Of the file that is the memory.
        shapes: The shape of one row of each array, by file.
        rows: Rows that a slot has room for.
        count: How many slots there are.
        memory: The memory of all.
    """

    descriptor: int
    shapes: Shapes
    rows: int
    count: int
    memory: mmap.mmap

    def arrays(self, slot: int, count: int) -> Arrays:
        """The first `count` rows of a slot."""
        found, start = {}, slot * self.rows * row_bytes(self.shapes)
        for name, shape in self.shapes.items():
            length = math.prod(shape)
            flat = np.frombuffer(self.memory, np.uint8, count * length, start)
            found[name] = flat.reshape(count, *shape)
            start += self.rows * length
        return found


def row_bytes(shapes: Shapes) -> int:
    """Bytes of one sample's rows."""
    return sum(math.prod(shape) for shape in shapes.values())


def task_size(shapes: Shapes) -> int:
    """How many samples a process is given at a time."""
    return max(1, min(TASK_SAMPLES, TASK_BYTES // row_bytes(shapes)))


@contextmanager
def new_slots(shapes: Shapes, rows: int, count: int) -> Iterator[Slots]:
    """Make `count` slots for `rows` rows each."""
    size = count * rows * row_bytes(shapes)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("ssl_registry")
        os.truncate(descriptor, size)
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            # All of it is written, because a map of a file that finds no room kills the process.
            file.write(bytes(size))
            descriptor = os.dup(file.fileno())
    try:
        yield taken_slots(descriptor, shapes, rows, count)
    finally:
        os.close(descriptor)


def taken_slots(descriptor: int, shapes: Shapes, rows: int, count: int) -> Slots:
    """The slots that another process has made."""
    memory = mmap.mmap(descriptor, count * rows * row_bytes(shapes))
    return Slots(descriptor, shapes, rows, count, memory)
