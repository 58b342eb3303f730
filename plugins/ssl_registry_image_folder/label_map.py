"""Reading masks whose gray values are classes, exactly as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry import UNREADABLE, DataError, Mask

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
        values = read_values(path)
        numbers = self._table[values]
        if (numbers < 0).any():
            unknown = np.unique(values[numbers < 0]).tolist()
            raise DataError(
                f"the mask {path} holds the gray values {some(unknown)}, which mask_values does "
                f"not name; it names {some(self._named)}; give each value its class, which may be "
                "'background'"
            )
        return numbers.astype(np.uint8)


def read_values(path: Path) -> NDArray[np.uint16]:
    """The gray values, or places in the palette, of a picture of up to 16 bits, `[H, W]`.

    Raises:
        DataError: It cannot be decoded, holds several pages, is coloured, or has values beyond 16
            bits.
    """
    try:
        with PillowImage.open(path) as picture:
            pages = getattr(picture, "n_frames", 1)
            if pages > 1:
                raise ValueError(
                    f"it holds {pages} pages or frames; write each as a file of its own"
                )
            picture.load()
            values = _gray(picture)
    except UNREADABLE as error:
        reason = error if str(error) else type(error).__name__
        raise DataError(f"cannot read the mask {path}: {reason}") from error
    if values is None:
        raise DataError(f"the mask {path} is coloured; write one gray value for each class")
    if values.min() < 0 or values.max() >= _VALUES:
        raise DataError(f"the mask {path} has values beyond 0 to {_VALUES - 1}")
    return values.astype(np.uint16)


def _gray(picture: PillowImage.Image) -> NDArray[np.int64] | None:
    """The stored values; None if the channels of a colour picture differ."""
    if picture.mode == "1":
        picture = picture.convert("L")
    values = np.asarray(picture)
    if values.ndim == 3:
        colours = values[..., :1] if picture.mode == "LA" else values[..., :3]
        if (colours != colours[..., :1]).any():
            return None
        values = colours[..., 0]
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"its mode {picture.mode} is not one of whole numbers")
    return values.astype(np.int64)


def some(values: Sequence[int]) -> str:
    """The first few values, for messages."""
    return ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
