"""Reading one frame of the older release: a MetaImage header (`.mhd`) and its data (`.raw`)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry import DataError

TYPES: Final = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
DATA_KEY: Final = "ElementDataFile"
"""The last key of a header; its value names the file of the data."""
HEADER_LIMIT: Final = 65_536


@dataclass(frozen=True)
class _Layout:
    """Where the pixels lie and how they are written."""

    width: int
    height: int
    dtype: np.dtype[Any]
    data: Path
    compressed: bool
    header_size: int

    @property
    def size(self) -> int:
        return self.width * self.height * self.dtype.itemsize


def read_metaimage(path: Path) -> NDArray[Any]:
    """Read a two-dimensional MetaImage with its data in a file beside it, as `[H, W]`.

    The data may be plain or compressed by zlib, of integers or floats of either byte order.

    Raises:
        DataError: A file is missing, damaged, cut short or of a kind that is not read, or the
            image is not two-dimensional; names the file.
    """
    layout = _layout(_keys(path), path)
    content = _read(layout.data)
    start = len(content) - layout.size if layout.header_size < 0 else layout.header_size
    content = content[max(start, 0) :]
    if layout.compressed:
        content = _unpacked(content, layout)
    if len(content) != layout.size:
        raise DataError(
            f"{layout.data} holds {len(content)} bytes of pixels, but {path.name} announces "
            f"{layout.width}x{layout.height} of type {layout.dtype}, {layout.size} bytes; copy "
            "both again"
        )
    return np.frombuffer(content, layout.dtype).reshape(layout.height, layout.width)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}; copy it again") from error


def _unpacked(content: bytes, layout: _Layout) -> bytes:
    """Unpack at most one byte more than announced, so that no file can fill the memory."""
    unpacker = zlib.decompressobj()
    try:
        unpacked = unpacker.decompress(content, layout.size + 1)
    except zlib.error as error:
        raise DataError(f"cannot unpack {layout.data}: {error}; copy it again") from error
    if len(unpacked) == layout.size and not unpacker.eof:
        raise DataError(f"{layout.data} is cut short; copy it again")
    return unpacked


def _keys(path: Path) -> dict[str, str]:
    """The `Key = value` lines of a header up to the one that names the data."""
    text = _read(path)[:HEADER_LIMIT].decode("latin-1")
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            keys[key.strip()] = value.strip()
        if key.strip() == DATA_KEY:
            return keys
    raise DataError(f"{path} is no MetaImage header: it has no line {DATA_KEY} = ...")


def _layout(keys: Mapping[str, str], path: Path) -> _Layout:
    _refuse_unread_kinds(keys, path)
    name = keys[DATA_KEY]
    if Path(name).name != name:
        raise DataError(f"{path}: {DATA_KEY} is {name!r}, but must be a file beside it")
    width, height = _plane(keys, path)
    order = ">" if _is_true(keys, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
    return _Layout(
        width=width,
        height=height,
        dtype=np.dtype(order + TYPES[keys["ElementType"]]),
        data=path.with_name(name),
        compressed=_is_true(keys, "CompressedData"),
        header_size=_numbers(keys, "HeaderSize", path, default="0")[0],
    )


def _refuse_unread_kinds(keys: Mapping[str, str], path: Path) -> None:
    kind = keys.get("ElementType", "")
    if kind not in TYPES:
        raise DataError(f"{path}: ElementType is {kind!r}; known are {', '.join(TYPES)}")
    if keys.get("ElementNumberOfChannels", "1") != "1":
        raise DataError(f"{path}: ElementNumberOfChannels must be 1, for a gray image")
    if keys.get("BinaryData", "True").lower() not in ("true", "1"):
        raise DataError(f"{path}: data as text (BinaryData = False) are not read")
    if keys[DATA_KEY] in ("LOCAL", "LIST", ""):
        raise DataError(f"{path}: {DATA_KEY} must name one file beside it")


def _plane(keys: Mapping[str, str], path: Path) -> tuple[int, int]:
    """Width and height, with which axes of length 1 may come."""
    shape = _numbers(keys, "DimSize", path)
    if len(shape) < 2 or min(shape) < 1 or any(length != 1 for length in shape[2:]):
        raise DataError(
            f"{path} is not one frame: its DimSize is {keys['DimSize']}, not width and height"
        )
    return shape[0], shape[1]


def _numbers(keys: Mapping[str, str], key: str, path: Path, default: str = "") -> list[int]:
    text = keys.get(key, default)
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError as error:
        raise DataError(f"{path}: {key} = {text!r} must be whole numbers") from error
    if not numbers:
        raise DataError(f"{path} is no usable MetaImage header: it has no {key}")
    return numbers


def _is_true(keys: Mapping[str, str], *names: str) -> bool:
    return any(keys.get(name, "False").lower() in ("true", "1") for name in names)
