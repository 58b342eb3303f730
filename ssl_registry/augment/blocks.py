"""Parts of a batch that are handled one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

_BLOCK_BYTES = 16 << 20


def blocks(
    number: int, bytes_each: int, device: torch.device, block_bytes: int = _BLOCK_BYTES
) -> Iterator[slice]:
    """Slices of a batch, of the same length but for the last.

    So what an operation has written is still in a large cache for the next one, and temporaries
    do not grow with the batch. Smaller blocks fit the cores' own caches, but cost calls: for a
    whole chain a fifth of the time on some processors (docs/benchmarks.md).

    Args:
        number: Items of the batch.
        bytes_each: Bytes of an item.
        device: On a GPU all is one block: there it is calls that cost, not memory.
        block_bytes: What a block takes on the CPU, about.
    """
    count = 1 if device.type != "cpu" else math.ceil(number * bytes_each / block_bytes)
    length = max(1, math.ceil(number / max(1, count)))
    for start in range(0, number, length):
        yield slice(start, min(start + length, number))
