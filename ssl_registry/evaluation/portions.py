"""How many images a network is shown at a time where nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator

_PIXELS = 2**22
"""A portion holds no more of them, unless it is a single image."""


def portion(most: int, side: int) -> int:
    """Images of `side` px that are shown at a time: at most `most`, and fewer of large ones."""
    return max(1, min(most, _PIXELS // side**2))


def portions(number: int, most: int, side: int) -> Iterator[slice]:
    """Slices of `number` images of `side` px."""
    count = portion(most, side)
    for start in range(0, number, count):
        yield slice(start, start + count)
