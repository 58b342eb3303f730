"""Reading one picture file completely, upright, as luma, RGB, stored values or a binary mask."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageChops, ImageOps, UnidentifiedImageError

from ssl_registry.errors import DataError

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    PillowImage.DecompressionBombError,
    PillowImage.DecompressionBombWarning,
)
"""What Pillow raises for files that are missing or damaged, or are no pictures."""

_MASK_LEVEL = 127
_DEEPEST = 2**16 - 1
_BEYOND = f"it has values beyond 0 to {_DEEPEST}; save it with 8 or 16 bits"
_TOO_SHALLOW = 2**12
"""Where no value of 16 bits is as high, they are likely 12 bits or fewer, stored in 16."""
_SINGLE = ("MPO", "PSD")
"""Formats whose further frames are previews or layers of the first."""
_TURNED = ("JPEG", "MPO", "WEBP")
"""Formats of cameras, which say in their EXIF how a picture is to be turned; TIFF is by Pillow."""
_ORIENTATION = 0x0112
_WITH_ALPHA = ("LA", "La", "PA")
"""Modes of one value and its alpha."""

_Values = TypeVar("_Values", NDArray[np.uint8], NDArray[np.uint16])


def read_luma(path: Path) -> NDArray[np.uint8]:
    """Read a picture of any colour mode as luma, uint8 `[H, W]`; of 16 bits the upper 8 count.

    Raises:
        DataError: It cannot be decoded to its last pixel, holds several pages or frames, or has 16
            bits but no value of 4096 or more; names the file.
    """
    return _read(path, _luma)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture of any colour mode as RGB, uint8 `[H, W, 3]`; of 16 bits the upper 8 count.

    Alpha is ignored: colours under transparent pixels are kept.

    Raises:
        DataError: It cannot be decoded to its last pixel, holds several pages or frames, or has 16
            bits but no value of 4096 or more; names the file.
    """
    return _read(path, _colour)


def read_binary_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask picture of any colour mode as bool `[H, W]`.

    A pixel is foreground where its brightest colour channel is above 127 of 255: gray-valued
    edges are cut in the middle, a mask drawn in one colour counts, and alpha is ignored because
    some masks are RGBA and opaque everywhere.

    Raises:
        DataError: It cannot be decoded, holds several pages or frames, or holds values but none
            above 127 (such as a mask of 0 and 1, which would silently vanish); names the file.
    """
    values = _read(path, _brightest)
    mask: NDArray[np.bool_] = values > _MASK_LEVEL
    if not mask.any() and values.any():
        raise DataError(
            f"the mask {path} has values up to {values.max()} but none above {_MASK_LEVEL}; "
            "write its foreground as 255"
        )
    return mask


def read_gray_values(path: Path) -> NDArray[np.uint16]:
    """Read the gray values of a picture, or its places in a palette, as stored, uint16 `[H, W]`.

    For masks whose values are classes. A bilevel picture has 0 and 255; alpha is ignored.

    Raises:
        DataError: It cannot be decoded to its last pixel, holds several pages or frames, is
            coloured, or has values beyond 16 bits; names the file.
    """
    return _read(path, _stored)


def read_mask_union(
    masks: Sequence[Path], image: Path, size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Read the masks of one image as one, uint8 `[H, W]` of 0 and 1: what any of them shows.

    Args:
        masks: The mask pictures, one or several; see `read_binary_mask`.
        image: The image they belong to.
        size: Width and height of the image, px, where they are known; default: as its header says.

    Raises:
        DataError: A mask cannot be read, or has another size than the image; names the file.
    """
    width, height = picture_size(image) if size is None else size
    union = np.zeros((height, width), np.uint8)
    for path in masks:
        mask = read_binary_mask(path)
        if mask.shape != union.shape:
            raise DataError(
                f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its image "
                f"{image.name} is {width}x{height}"
            )
        union |= mask
    return union


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, px, from its header alone.

    Raises:
        DataError: It has no readable header; names the file.
    """
    try:
        with PillowImage.open(path) as picture:
            turned = picture.format in _TURNED and picture.getexif().get(_ORIENTATION, 1) > 4
            return picture.size[::-1] if turned else picture.size
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _read(path: Path, values: Callable[[PillowImage.Image], _Values]) -> _Values:
    """Values of a picture with all its pixels; floating-point ones are gray levels of 0 to 255."""
    try:
        # Pillow reads a file in many small pieces, which costs as much as decoding a tiny one.
        with path.open("rb", buffering=0) as file:
            content = BytesIO(file.readall())
        with PillowImage.open(content) as picture:
            _check_single(picture)
            # numpy would take a truncated picture for an object and not raise.
            picture.load()
            if picture.format in _TURNED:
                ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode == "F":
                _check_gray_levels(np.asarray(picture))
            return values(picture)
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, UnidentifiedImageError):  # its text names a place in memory
        return DataError(f"cannot read the image {path}: it is of no format that is known")
    return DataError(f"cannot read the image {path}: {str(error) or type(error).__name__}")


def _check_single(picture: PillowImage.Image) -> None:
    """Refuse stacks and animations, of which only the first picture would be read."""
    pages = getattr(picture, "n_frames", 1)
    if pages > 1 and picture.format not in _SINGLE:
        raise ValueError(f"it holds {pages} pages or frames; write each as a file of its own")


def _check_gray_levels(values: NDArray[np.float32]) -> None:
    """Refuse floating-point values that Pillow would cut: shares of 0 to 1 would all be black."""
    if not (np.isfinite(values) & (values >= 0) & (values <= 255) & (values % 1 == 0)).all():
        raise ValueError("its floating-point values are no gray levels; save it with 8 or 16 bits")


def _luma(picture: PillowImage.Image) -> NDArray[np.uint8]:
    if picture.mode == "L":
        return np.array(picture)
    if _is_deep(picture):
        return _high_byte(picture)
    return np.array(_opaque(picture).convert("L"))


def _colour(picture: PillowImage.Image) -> NDArray[np.uint8]:
    if _is_deep(picture):
        return np.repeat(_high_byte(picture)[..., np.newaxis], 3, axis=2)
    return np.array(_opaque(picture))


def _brightest(picture: PillowImage.Image) -> NDArray[np.uint8]:
    """The brightest colour channel of each pixel, `[H, W]`."""
    if _is_deep(picture):
        values = np.asarray(picture)
        # Of a mask with 16 bits but small values, those are what counts.
        small = values.min() >= 0 and values.max() <= 255
        return values.astype(np.uint8) if small else _high_byte(picture)
    if picture.mode == "L":
        return np.array(picture)
    if picture.mode == "1":
        return np.array(picture.convert("L"))
    red, green, blue = _opaque(picture).split()
    return np.array(ImageChops.lighter(ImageChops.lighter(red, green), blue))


def _stored(picture: PillowImage.Image) -> NDArray[np.uint16]:
    values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    if values.ndim == 3:
        values = values[..., :1] if picture.mode in _WITH_ALPHA else values[..., :3]
        if (values != values[..., :1]).any():
            raise ValueError("it is coloured; write one gray value for each class")
        values = values[..., 0]
    if values.min() < 0 or values.max() > _DEEPEST:
        raise ValueError(_BEYOND)
    return values.astype(np.uint16)


def _opaque(picture: PillowImage.Image) -> PillowImage.Image:
    """The picture as RGB without its alpha; colours under transparent pixels are kept."""
    if picture.mode == "RGB":
        return picture
    # Only by way of RGBA does Pillow take transparent palettes without a warning.
    return (picture.convert("RGBA") if picture.mode == "P" else picture).convert("RGB")


def _is_deep(picture: PillowImage.Image) -> bool:
    """Whether it is a 16-bit gray picture, which Pillow would clip at 255."""
    return picture.mode.startswith("I")


def _high_byte(picture: PillowImage.Image) -> NDArray[np.uint8]:
    values = np.asarray(picture).astype(np.int64)
    highest = values.max()
    if values.min() < 0 or highest > _DEEPEST:
        raise ValueError(_BEYOND)
    if 0 < highest < _TOO_SHALLOW:
        raise ValueError(
            f"it has 16 bits but no value above {highest} of {_DEEPEST}, so it seems to hold fewer "
            f"bits, and its upper 8 tell {(highest >> 8) + 1} gray levels apart at most; save it "
            "with 8 bits, or scale it to the full 16"
        )
    return (values >> 8).astype(np.uint8)
