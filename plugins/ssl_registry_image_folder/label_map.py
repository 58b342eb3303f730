"""Reading masks whose gray values are classes, exactly as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ssl_registry import DataError, Mask, read_gray_values

_VALUES: Final = 2**16
_UNKNOWN: Final = -1


class LabelMap:
    """Turns gray values into class numbers.

    Args:
        values: Gray value to class name; `background` is class 0.
        classes: The names of the classes 1, 2, ...
    """

    def __init__(self, values: Mapping[int, str], classes: Sequence[str]) -> None:
        self._named = sorted({0, *values})
        self._table = np.full(_VALUES, _UNKNOWN, np.int16)
        numbers = {"background": 0, **{name: at for at, name in enumerate(classes, start=1)}}
        self._table[0] = 0
        for value, name in values.items():
            self._table[value] = numbers[name]

    def read(self, path: Path) -> Mask:
        """Class numbers, uint8 `[H, W]`.

        Raises:
            DataError: It cannot be read, or holds a value that has no class; names the file.
        """
        values = read_gray_values(path)
        numbers = self._table[values]
        if (numbers < 0).any():
            unknown = np.unique(values[numbers < 0]).tolist()
            raise DataError(
                f"the mask {path} holds the gray values {some(unknown)}, which mask_values does "
                f"not name; it names {some(self._named)}; give each value its class, which may be "
                "'background'"
            )
        return numbers.astype(np.uint8)


def some(values: Sequence[int]) -> str:
    """The first few values, for messages."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
