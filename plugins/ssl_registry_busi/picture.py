"""Reading one picture file completely, as luma or as a binary mask."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageChops

from ssl_registry import DataError

_MASK_LEVEL = 127
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    PillowImage.DecompressionBombError,
    PillowImage.DecompressionBombWarning,
)


def read_luma(path: Path) -> NDArray[np.uint8]:
    """Read a picture as luma, uint8 `[H, W]`.

    Raises:
        DataError: It cannot be decoded to its last pixel; names the file.
    """
    picture = _decoded(path)
    if picture.mode == "L":
        return np.array(picture)
    if _is_deep(picture):
        return _high_byte(picture)
    return np.array(_opaque(picture).convert("L"))


def read_binary(path: Path) -> NDArray[np.bool_]:
    """Read a mask picture of any colour mode as bool `[H, W]`.

    A pixel is foreground where its brightest colour channel is above 127 of 255: gray-valued
    edges are cut in the middle, a mask drawn in one colour counts, and alpha is ignored because
    some masks are RGBA and opaque everywhere.

    Raises:
        DataError: It cannot be decoded, or holds values but none above 127 (such as a mask
            of 0 and 1, which would silently vanish); names the file.
    """
    picture = _decoded(path)
    if _is_deep(picture):
        values = _high_byte(picture)
    elif picture.mode in ("1", "L"):
        values = np.asarray(picture.convert("L"))
    else:
        red, green, blue = _opaque(picture).split()
        values = np.asarray(ImageChops.lighter(ImageChops.lighter(red, green), blue))
    mask: NDArray[np.bool_] = values > _MASK_LEVEL
    if not mask.any() and values.any():
        raise DataError(
            f"the mask {path} has values up to {values.max()} but none above {_MASK_LEVEL}; "
            "write its foreground as 255"
        )
    return mask


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, from its header alone.

    Raises:
        DataError: It has no readable header; names the file.
    """
    try:
        with PillowImage.open(path) as picture:
            return picture.size
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _decoded(path: Path) -> PillowImage.Image:
    try:
        with PillowImage.open(path) as picture:
            picture.load()
            return picture
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"cannot read the image {path}: {error or type(error).__name__}")


def _opaque(picture: PillowImage.Image) -> PillowImage.Image:
    """The picture as RGB without its alpha; colours under transparent pixels are kept."""
    # Only by way of RGBA does Pillow take transparent palettes without a warning.
    return picture if picture.mode == "RGB" else picture.convert("RGBA").convert("RGB")


def _is_deep(picture: PillowImage.Image) -> bool:
    """Whether it is a 16-bit gray picture, which Pillow would clip at 255."""
    return picture.mode.startswith("I")


def _high_byte(picture: PillowImage.Image) -> NDArray[np.uint8]:
    return (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
