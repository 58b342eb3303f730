"""Reading one frame of the NIfTI release."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from ssl_registry import DataError

HEADER_BYTES: Final = 348
MAGIC_PLACE: Final = 344
GZIP_MAGIC: Final = b"\x1f\x8b"
_Header: Any = nibabel.Nifti1Header  # nibabel has no types


def read_nifti(path: Path) -> NDArray[Any]:
    """Read a two-dimensional NIfTI-1 file, gzipped or not, as `[H, W]`, scaled by its slope.

    The first axis of a NIfTI file is the horizontal one; it becomes the last. The affine is
    not applied: frames are stored as they are looked at, with the probe on top. nibabel
    interprets the header; the file is unpacked here at once, which takes a third of the time
    that `nibabel.load` needs for files as small as these.

    Raises:
        DataError: It is missing, damaged, cut short, not NIfTI-1 or not two-dimensional; names
            the file.
    """
    content = _content(path)
    header = _header(content, path)
    try:
        width, height = _plane(header.get_data_shape(), path)
        dtype = header.get_data_dtype()
        offset = int(header.get_data_offset())
        slope, intercept = header.get_slope_inter()
    except (HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise DataError(f"the header of {path} is damaged ({error}); copy it again") from error
    if dtype.kind not in "uif":
        raise DataError(f"{path} holds values of type {dtype}, which are no gray levels")
    needed = width * height * dtype.itemsize
    if offset < HEADER_BYTES or len(content) - offset < needed:
        raise DataError(
            f"{path} is cut short: {width}x{height} pixels of type {dtype} are announced, but "
            f"{max(len(content) - offset, 0)} of {needed} bytes are there; copy it again"
        )
    values = np.frombuffer(content, dtype, width * height, offset).reshape(height, width)
    if slope is None or (slope, intercept) == (1, 0):
        return values
    with np.errstate(all="ignore"):  # what overflows is refused as not finite
        scaled: NDArray[np.float64] = values.astype(np.float64) * slope + intercept
    return scaled


def _content(path: Path) -> bytes:
    """The whole file, unpacked; gzip checks it against its checksum."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; copy it again") from error


def _header(content: bytes, path: Path) -> Any:
    """The header, unchecked: nibabel's own check would only log what it dislikes."""
    try:
        header = _Header(content[:HEADER_BYTES], check=False)
    except WrapStructError as error:
        raise DataError(f"{path} is no NIfTI file: it has {len(content)} bytes") from error
    if content[MAGIC_PLACE:HEADER_BYTES] != b"n+1\0":
        raise DataError(
            f"{path} is no NIfTI-1 file with its pixels; copy it again from the release"
        )
    return header


def _plane(shape: tuple[int, ...], path: Path) -> tuple[int, int]:
    """Width and height, with which axes of length 1 may come."""
    if len(shape) < 2 or min(shape[:2]) < 1 or any(length != 1 for length in shape[2:]):
        raise DataError(
            f"{path} is not one frame: its shape is {'x'.join(map(str, shape)) or 'empty'}, not "
            "width x height; frames of the release are two-dimensional"
        )
    return shape[0], shape[1]
