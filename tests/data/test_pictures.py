"""Pictures of any colour mode as luma, RGB or mask; the formats of masks are tested with BUSI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import DataError, picture_size, read_binary_mask, read_luma, read_rgb

COLOURS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
DEEP = np.random.default_rng(1).integers(0, 2**16, (7, 5), dtype=np.uint16)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    picture = PillowImage.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
def test_colours_are_kept_and_their_luma_is_weighted(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "a.tif", COLOURS, mode)
    np.testing.assert_array_equal(read_rgb(path), COLOURS)
    luma = COLOURS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_luma(path) - luma).max() < 1
    assert read_luma(path).dtype == read_rgb(path).dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "F"])
def test_gray_is_gray_in_every_mode(tmp_path: Path, mode: str) -> None:
    gray = COLOURS[..., 0]
    path = saved(tmp_path / "a.tif", gray, mode)
    np.testing.assert_array_equal(read_luma(path), gray)
    np.testing.assert_array_equal(read_rgb(path), np.dstack([gray] * 3))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_sixteen_bits_the_upper_eight_count(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", DEEP)
    expected = DEEP // 256
    np.testing.assert_array_equal(read_luma(path), expected)
    np.testing.assert_array_equal(read_rgb(path), np.dstack([expected] * 3))
    np.testing.assert_array_equal(read_binary_mask(path), expected > 127)


def test_size_is_width_and_height(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", COLOURS)
    assert picture_size(path) == (5, 7)


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask, picture_size])
def test_what_is_no_picture_is_named(tmp_path: Path, read: object, content: bytes | None) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"cannot read the image {path}: "):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask])
def test_half_a_picture_is_named(tmp_path: Path, read: object, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"cannot read the image {path}: "):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask])
@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([[0.2, 0.9]], np.float32), "floating-point"),
        (np.array([[0, 4000]], np.float32), "floating-point"),
        (np.array([[0, np.nan]], np.float32), "floating-point"),
        (np.array([[0, 70_000]], np.int32), "values beyond 0 to 65535"),
        (np.array([[-5, 7]], np.int32), "values beyond 0 to 65535"),
    ],
)
def test_values_that_would_be_clipped_or_wrapped_are_refused(
    tmp_path: Path, read: Callable[[Path], object], values: np.ndarray, told: str
) -> None:
    path = tmp_path / "deep.tif"
    PillowImage.fromarray(values).save(path)
    with pytest.raises(DataError, match=rf"deep\.tif: .*{told}.* 8 or 16 bits"):
        read(path)
