"""Reading binary masks, and telling maps of several classes from them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry import DataError, Mask, read_binary_mask, read_gray_values
from ssl_registry_image_folder.label_map import some

_MOST_CLASSES: Final = 8
"""More values than these are taken for soft edges."""
_ROUNDED: Final = ("JPEG", "MPO")
_BLOCK: Final = 3
_OUTSIDE: Final = -1


def read_binary(path: Path) -> Mask:
    """A binary mask, uint8 `[H, W]` of 0 and 1; its foreground may be 255 or, alone, 1.

    Raises:
        DataError: It cannot be read, has values but neither 1 alone nor any above 127, or seems to
            show several classes, of which the darker would be lost; names the file.
    """
    try:
        mask = read_binary_mask(path)
    except DataError:
        values = read_gray_values(path)
        if values.max() > 1:
            _check_one_class(path, values)
            raise
        return values.astype(np.uint8)
    if mask.any() and not _is_rounded(path):
        try:
            values = read_gray_values(path)
        except DataError:  # it is readable, but drawn in a colour: no gray values to look at
            return mask.astype(np.uint8)
        _check_one_class(path, values)
    return mask.astype(np.uint8)


def _check_one_class(path: Path, values: NDArray[np.uint16]) -> None:
    """Refuse a mask in which a value between the least and the greatest fills an area.

    Those of soft edges do not: across an edge they change from pixel to pixel.
    """
    middle = (values > values.min()) & (values < values.max())
    if not middle.any():
        return
    found = np.unique(values).tolist()
    if len(found) <= _MOST_CLASSES and (middle & _uniform(values)).any():
        raise DataError(
            f"the mask {path} holds the gray values {some(found)} as areas, so it seems to show "
            "several classes; name them in mask_values, alike those that mean the same"
        )


def _uniform(values: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The pixels that have the value of all their neighbours, `[H, W]`; none at the border."""
    padded = np.pad(values.astype(np.int32), _BLOCK // 2, constant_values=_OUTSIDE)
    blocks = sliding_window_view(padded, (_BLOCK, _BLOCK))
    uniform: NDArray[np.bool_] = blocks.min(axis=(2, 3)) == blocks.max(axis=(2, 3))
    return uniform


def _is_rounded(path: Path) -> bool:
    """Whether its format changes values a little, and so makes areas of others."""
    with PillowImage.open(path) as picture:
        return picture.format in _ROUNDED
