"""The search for alike images and their close comparison, against slow loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ssl_registry.data import similarity
from ssl_registry.data.local_contrast import Contrast, local_contrast, weighted_correlation
from ssl_registry.data.registration import Detail, match
from ssl_registry.data.similarity import ALIKE, ORIENTATIONS, alike, oriented
from ssl_registry.data.thumbnails import gray_detail, gray_square, thumbnails

Floats = NDArray[np.float64]


def texture(seed: int, side: int, sigma: float = 1.5) -> NDArray[np.uint8]:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), sigma)
    return (120 + 40 * noise / noise.std()).clip(20, 255).astype(np.uint8)


def test_thumbnails_are_means_of_boxes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 64), dtype=np.uint8)
    expected = image.reshape(32, 3, 32, 2).mean(axis=(1, 3))
    found = thumbnails([image])
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found[0], expected, atol=1)  # Pillow rounds after each axis


def test_colour_images_are_reduced_to_luma() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    colour = np.repeat(gray[..., None], 3, axis=2)
    np.testing.assert_array_equal(thumbnails([colour]), thumbnails([gray]))
    assert thumbnails([]).shape == (0, 32, 32)
    red = np.zeros((40, 40, 3), np.uint8)
    red[..., 0] = 255
    assert set(gray_square(red, 32).ravel()) == {76}  # 0.299 of 255


@pytest.mark.parametrize(
    ("shape", "side"), [((300, 128), 128), ((127, 200), 64), ((64, 64), 64), ((20, 60), 32)]
)
def test_side_of_the_close_comparison(shape: tuple[int, int], side: int) -> None:
    assert gray_detail(np.zeros(shape, np.uint8)).shape == (side, side)


def naive_hashes(thumbs: NDArray[np.uint8]) -> list[Floats]:
    small = [thumb.reshape(16, 2, 16, 2).mean(axis=(1, 3)) for thumb in thumbs]
    return [local_contrast(each, 1.5).values for each in small]


def related(count: int, seed: int) -> NDArray[np.uint8]:
    """Thumbnails that are noisy, brightened or turned copies of few others."""
    draw = np.random.default_rng(seed)
    rows = [texture(seed * 100 + n, 32) for n in range(6)]
    while len(rows) < count:
        noise = draw.normal(0, draw.uniform(1, 40), (32, 32))
        copy = (0.8 * rows[draw.integers(len(rows))] + 20 + noise).clip(0, 255).astype(np.uint8)
        rows.append(oriented(copy, ORIENTATIONS[draw.integers(4)]))
    return np.stack(rows)


@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize("block", [7, 4096])
def test_alike_pairs_equal_the_naive_search(
    monkeypatch: pytest.MonkeyPatch, flips: bool, block: int
) -> None:
    monkeypatch.setattr(similarity, "_BLOCK", block)
    thumbs = related(40, seed=1)
    hashes = naive_hashes(thumbs)
    shared = np.mean(hashes, axis=0) * 40 / 90

    def unit(values: Floats) -> Floats:
        rest = (values - shared).ravel()
        return rest / np.linalg.norm(rest)

    expected = {}
    for i, j in itertools.combinations(range(40), 2):
        scores = [
            float(unit(oriented(hashes[i], turn)) @ unit(hashes[j]))
            for turn in (ORIENTATIONS if flips else ORIENTATIONS[:1])
        ]
        if max(scores) > ALIKE:
            expected[i, j] = (max(scores), int(np.argmax(scores)))
    assert 20 < len(expected) < 700
    found = alike(thumbs, flips=flips, crops=False)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == sorted(expected)
    values = [expected[pair] for pair in sorted(expected)]
    np.testing.assert_allclose(found.likeness, [value[0] for value in values], atol=1e-5)
    assert found.orientation.tolist() == [value[1] for value in values]

    even = alike(thumbs, lambda i, j: (i + j) % 2 == 0, flips=flips, crops=False)
    kept = np.flatnonzero((found.first + found.second) % 2 == 0)
    assert even.first.tolist() == found.first[kept].tolist()


def test_crops_bring_pairs_that_were_not_alike() -> None:
    images = [texture(n, 200, sigma=6) for n in range(5)]
    strip = [image[24:, :] for image in images]  # 12 % at the top are missing
    thumbs = thumbnails([*images, *strip])
    found = alike(thumbs)
    assert list(zip(found.first, found.second, strict=True)) == [(n, n + 5) for n in range(5)]
    assert len(alike(thumbs, crops=False).first) < 5


def test_what_all_images_share_is_taken_off() -> None:
    """Under the same coarse picture, different textures are not alike."""
    shared = texture(999, 32, sigma=3).astype(float)
    rows = [(0.75 * shared + 0.25 * texture(n, 32)).astype(np.uint8) for n in range(200)]
    hashes = [values.ravel() for values in naive_hashes(np.stack(rows))]
    assert np.corrcoef(hashes[0], hashes[1])[0, 1] > ALIKE
    rows.append(rows[17])
    found = alike(np.stack(rows), crops=False)
    assert (17, 200) in set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(found.first) < 0.01 * 200 * 199 / 2


def test_local_contrast_is_blind_to_brightness_and_contrast() -> None:
    image = texture(0, 128).astype(float)
    plain, changed = (local_contrast(each, 2.0) for each in (image, 0.5 * image + 60))
    assert weighted_correlation(plain, changed) > 0.99


def test_the_border_of_the_fan_makes_no_images_alike() -> None:
    inside = np.add.outer(np.arange(128), np.arange(128)) >= 80
    one, other = (
        local_contrast(np.where(inside, texture(seed, 128, sigma=1.0), 0), 2.0) for seed in (0, 1)
    )
    assert one.weight[:38, :38].max() < 1e-6
    assert one.weight[80:120, 80:120].min() == pytest.approx(1)
    assert abs(weighted_correlation(one, other)) < 0.1


def test_weighted_correlation_equals_the_loop() -> None:
    draw = np.random.default_rng(0)
    one, other = (
        Contrast(draw.standard_normal((9, 9)), draw.random((9, 9)) + 0.2) for _ in range(2)
    )
    product = first = second = 0.0
    for y, x in itertools.product(range(9), range(9)):
        weight = min(one.weight[y, x], other.weight[y, x])
        product += weight * one.values[y, x] * other.values[y, x]
        first += weight * one.values[y, x] ** 2
        second += weight * other.values[y, x] ** 2
    assert weighted_correlation(one, other) == pytest.approx(product / (first * second) ** 0.5)
    nothing = Contrast(other.values, np.zeros((9, 9)))
    assert weighted_correlation(one, nothing) == 0


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -4), (-6, 2), (7, 7)])
def test_shift_is_found(side: int, down: int, right: int) -> None:
    large = texture(5, side + 20)
    first = Detail(large[10 : 10 + side, 10 : 10 + side])
    second = Detail(large[10 + down : 10 + down + side, 10 + right : 10 + right + side])
    found = match(first, second)
    assert found.score > 0.9
    assert found.moved * side == pytest.approx(max(abs(down), abs(right)), abs=0.5)
    other = match(first, Detail(texture(6, side)))
    assert other.score < 0.2


@pytest.mark.parametrize(("height", "width"), [(0.9, 0.9), (0.92, 1.0), (1.0, 0.88)])
def test_crop_is_found(height: float, width: float) -> None:
    """The crop is resized to the square: each axis has its own scale."""
    large = texture(7, 512, sigma=6)
    crop = large[: round(512 * height), : round(512 * width)]
    found = match(Detail(gray_square(large, 128)), Detail(gray_square(crop, 128)))
    assert found.score > 0.8
    # The last point of the crop lies at `height` and `width` of the whole: 1 / share - 1 off.
    assert found.moved == pytest.approx(max(1 / height, 1 / width) - 1, abs=0.03)
