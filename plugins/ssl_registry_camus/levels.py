"""From the values of a file to gray levels and class numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_registry import DataError, Image, Mask


def gray_levels(values: NDArray[Any], path: Path) -> Image:
    """Values as uint8: whole numbers of 0 to 255 as they are, all others by min-max scaling.

    Scaling maps the frame's least value to 0 and its greatest to 255, rounded to the nearest.
    A frame with one value only, which is no gray level, becomes 0.

    Raises:
        DataError: A value is not finite; names the file.
    """
    if values.dtype == np.uint8:
        return np.array(values)
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        raise DataError(f"{path} holds values that are not finite; copy it again")
    values = values.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 255 and (values == np.rint(values)).all():
        return values.astype(np.uint8)
    if low == high:
        return np.zeros(values.shape, np.uint8)
    # Halved, the span of the widest doubles is still finite.
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.rint(255 * share).astype(np.uint8)


def class_numbers(values: NDArray[Any], classes: int, path: Path) -> Mask:
    """Values as uint8 class numbers, 0 being the background.

    Raises:
        DataError: A value is not one of 0, 1, ..., `classes`; names the file and the value.
    """
    wrong = ~np.isin(values, np.arange(classes + 1))
    if wrong.any():
        raise DataError(
            f"the mask {path} has {np.count_nonzero(wrong)} pixels of other values than 0 to "
            f"{classes}, such as {values[wrong][0]}; copy it again from the release"
        )
    return values.astype(np.uint8)
