from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from ssl_registry.data.resize import shrink_image, shrink_mask

GRAY, COLOUR = (37, 53), (37, 53, 3)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def pillow(image: np.ndarray, mode: str, size: int) -> np.ndarray:
    picture = Image.fromarray(image).convert(mode)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("size", [8, 16, 80])
def test_images_are_what_pillow_makes(size: int) -> None:
    gray, colour = noise(GRAY), noise(COLOUR)
    for image in (gray, colour):
        one = shrink_image(image, size, 1)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, pillow(image, "L", size)[np.newaxis])
        np.testing.assert_array_equal(
            shrink_image(image, size, 3), pillow(image, "RGB", size).transpose(2, 0, 1)
        )


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = shrink_image(stripes, 8, 1)
    assert small[:, :, 1:-1].min() > 120
    assert small[:, :, 1:-1].max() < 135


def shares(plane: np.ndarray, size: int) -> list[list[Fraction]]:
    """Exact share of the native pixels whose centres lie in each stored pixel."""

    def inside(place: int, native: int) -> list[int]:
        low, high = Fraction(place * native, size), Fraction((place + 1) * native, size)
        return [i for i in range(native) if low < i + Fraction(1, 2) <= high]

    height, width = plane.shape
    rows = [inside(place, height) for place in range(size)]
    columns = [inside(place, width) for place in range(size)]
    return [
        [
            Fraction(sum(int(plane[y, x]) for y in ys for x in xs), len(ys) * len(xs))
            for xs in columns
        ]
        for ys in rows
    ]


def slow_binary(plane: np.ndarray, size: int) -> np.ndarray:
    half = Fraction(1, 2)
    return np.array([[share >= half for share in row] for row in shares(plane, size)], np.uint8)


@pytest.mark.parametrize("shape", [(32, 48), (37, 53), (48, 40), (9, 11)])
def test_binary_masks_follow_the_area(shape: tuple[int, int]) -> None:
    # Noise makes many exact ties, of which single precision must lose none.
    for seed in range(20):
        mask = np.random.default_rng(seed).integers(0, 2, shape, dtype=np.uint8)
        small = shrink_mask(mask, 8, 1)
        assert small.dtype == np.uint8
        np.testing.assert_array_equal(small, slow_binary(mask, 8))


def test_exactly_half_is_foreground() -> None:
    mask = np.zeros((24, 24), np.uint8)
    mask[::2] = 1
    assert shrink_mask(mask, 4, 1).all()
    mask[0] = 0
    assert not shrink_mask(mask, 4, 1)[0].any()


@pytest.mark.parametrize("shape", [(32, 48), (37, 53)])
def test_exclusive_classes_are_decided_by_the_greatest_share(shape: tuple[int, int]) -> None:
    for seed in range(10):
        mask = np.random.default_rng(seed).integers(0, 4, shape, dtype=np.uint8)
        exact = {value: shares(mask == value, 8) for value in (1, 2, 3, 0)}
        expected = [
            [max(exact, key=lambda value: exact[value][y][x]) for x in range(8)] for y in range(8)
        ]
        np.testing.assert_array_equal(shrink_mask(mask, 8, 3), np.array(expected, np.uint8))


def test_several_classes_agree_with_one_at_a_tie() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[::2] = 1
    np.testing.assert_array_equal(shrink_mask(mask, 4, 2), shrink_mask(mask, 4, 1))


def test_overlapping_planes_are_shrunk_each_alone() -> None:
    planes = np.random.default_rng(1).integers(0, 2, (3, 40, 30), dtype=np.uint8)
    planes[1] = planes[0]
    expected = np.stack([slow_binary(plane, 10) for plane in planes])
    np.testing.assert_array_equal(shrink_mask(planes, 10, 3), expected)


def test_masks_smaller_than_the_target_are_repeated() -> None:
    mask = np.random.default_rng(2).integers(0, 3, (4, 4), dtype=np.uint8)
    large = mask.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(shrink_mask(mask, 16, 2), large)
    np.testing.assert_array_equal(shrink_mask(mask > 0, 16, 1), large > 0)
    odd = shrink_mask(np.eye(3, dtype=np.uint8), 8, 1)
    assert odd.shape == (8, 8)
    assert odd[0, 0] == odd[7, 7] == 1
    assert odd[0, 7] == 0
