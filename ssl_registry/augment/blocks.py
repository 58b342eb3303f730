"""Parts of a batch that are small enough for a processor's cache."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch


def blocks(number: int, bytes_each: int, most_bytes: int, device: torch.device) -> Iterator[slice]:
    """Slices of a batch, of the same length but for the last.

    Args:
        number: Items of the batch.
        bytes_each: Bytes of an item.
        most_bytes: Bytes of a block, about; it has at least 8 items.
        device: On a GPU all is one block: there it is calls that cost, not memory.
    """
    count = 1 if device.type != "cpu" else math.ceil(number * bytes_each / most_bytes)
    length = max(8, math.ceil(number / max(1, count)))
    for start in range(0, number, length):
        yield slice(start, min(start + length, number))
