"""Pictures of any colour mode as luma, RGB or mask; the formats of masks are tested with BUSI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import (
    DataError,
    picture_size,
    read_binary_mask,
    read_gray_values,
    read_luma,
    read_rgb,
)

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


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_masks_of_sixteen_bits_may_have_small_values(tmp_path: Path, dtype: type) -> None:
    shape = DEEP > 2**15
    for value in (255, 65535):
        path = saved(tmp_path / f"{value}.tif", (shape * value).astype(dtype))
        np.testing.assert_array_equal(read_binary_mask(path), shape)
    path = saved(tmp_path / "1.tif", shape.astype(dtype))
    with pytest.raises(DataError, match="values up to 1 but none above 127"):
        read_binary_mask(path)
    assert not read_binary_mask(saved(tmp_path / "0.tif", (shape * 0).astype(dtype))).any()


@pytest.mark.parametrize("read", [read_luma, read_rgb])
def test_images_of_sixteen_bits_that_would_be_black_are_refused(
    tmp_path: Path, read: Callable[[Path], np.ndarray]
) -> None:
    path = saved(tmp_path / "a.png", (DEEP // 256).astype(np.uint16))
    with pytest.raises(DataError, match=r"no value above 2\d\d of 65535.*save it with 8 bits"):
        read(path)
    assert not read(saved(tmp_path / "b.png", np.zeros_like(DEEP))).any()


@pytest.mark.parametrize("read", [read_luma, read_rgb])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_stored_as_sixteen_are_refused(
    tmp_path: Path, read: Callable[[Path], np.ndarray], suffix: str
) -> None:
    twelve = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    told = "above 4095 of 65535.* fewer bits.* 16 gray levels.* with 8 bits, or scale .* full 16"
    with pytest.raises(DataError, match=told):
        read(saved(tmp_path / f"a.{suffix}", twelve))
    scaled = read(saved(tmp_path / f"b.{suffix}", twelve * 16))
    np.testing.assert_array_equal(scaled.reshape(64, 64, -1)[..., 0], twelve // 16)
    assert read(saved(tmp_path / f"c.{suffix}", twelve + 1)).max() == 16


@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask])
@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_stacks_and_animations_are_refused(
    tmp_path: Path, read: Callable[[Path], object], suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    first, *others = (PillowImage.new("L", (8, 6), level) for level in (10, 100, 250))
    first.save(path, save_all=True, append_images=others)
    told = rf"cannot read the image .*a\.{suffix}: it holds 3 pages or frames; write each as a file"
    with pytest.raises(DataError, match=told):
        read(path)
    others[1].save(path)
    assert np.min(np.asarray(read(path))) == (1 if read is read_binary_mask else 250)


def test_previews_of_a_camera_are_no_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.mpo"
    whole, preview = PillowImage.new("L", (8, 6), 200), PillowImage.new("L", (4, 3), 20)
    whole.save(path, save_all=True, append_images=[preview])
    with PillowImage.open(path) as picture:
        assert (picture.format, picture.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(read_luma(path), np.full((6, 8), 200))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif"])
def test_pictures_are_turned_as_their_camera_says(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    # One dark quarter: each of the eight ways to hold a camera puts it elsewhere.
    upright = np.full((32, 48), 200, np.uint8)
    upright[:16, :24] = 20
    held: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    PillowImage.fromarray(np.ascontiguousarray(held[orientation](upright))).save(path, exif=exif)
    assert picture_size(path) == (48, 32)
    assert np.abs(read_luma(path).astype(int) - upright).mean() < 5
    np.testing.assert_array_equal(read_binary_mask(path), upright > 127)


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
@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask, read_gray_values])
def test_half_a_picture_is_named(tmp_path: Path, read: object, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"cannot read the image {path}: "):
        read(path)  # type: ignore[operator]


@pytest.mark.parametrize("read", [read_luma, read_rgb, read_binary_mask, read_gray_values])
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


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "F", "I;16"])
def test_gray_values_are_those_that_are_stored(tmp_path: Path, mode: str) -> None:
    gray = DEEP if mode == "I;16" else COLOURS[..., 0]
    path = saved(tmp_path / "a.tif", gray, None if mode == "I;16" else mode)
    values = read_gray_values(path)
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values, gray)


def test_gray_values_of_palettes_and_of_bilevel_pictures(tmp_path: Path) -> None:
    places = COLOURS[..., 0] % 4
    picture = PillowImage.fromarray(places, "P")
    picture.putpalette([9, 8, 7, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    picture.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_gray_values(tmp_path / "p.png"), places)
    path = saved(tmp_path / "1.png", COLOURS[..., 0] > 100)
    np.testing.assert_array_equal(read_gray_values(path), 255 * (COLOURS[..., 0] > 100))


def test_gray_values_of_colours_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", COLOURS)
    with pytest.raises(DataError, match=rf"{path}: it is coloured; write one gray value"):
        read_gray_values(path)


def test_gray_values_are_turned_as_their_image_is(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    gray = np.repeat(np.repeat(COLOURS[..., 0], 16, axis=0), 16, axis=1)
    PillowImage.fromarray(gray).save(tmp_path / "a.jpg", exif=exif, quality=100)
    np.testing.assert_array_equal(
        read_gray_values(tmp_path / "a.jpg"), read_luma(tmp_path / "a.jpg")
    )
    assert read_gray_values(tmp_path / "a.jpg").shape == gray.T.shape
