"""The generated ultrasound: its physics, its determinism, its masks."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage, stats

from ssl_registry import Sample
from ssl_registry_phantom.acquisition import compress, scan_convert
from ssl_registry_phantom.config import PhantomConfig
from ssl_registry_phantom.dataset import PhantomDataset
from ssl_registry_phantom.generator import CATEGORIES, generate_image, generate_mask
from ssl_registry_phantom.scene import Sector
from ssl_registry_phantom.speckle import PointSpread, homogeneous_envelope

SIZE = 96


def read(dataset: PhantomDataset, sample: Sample) -> tuple[bytes, bytes | None]:
    mask = dataset.read_mask(sample)
    return dataset.read_image(sample).tobytes(), None if mask is None else mask.tobytes()


@pytest.mark.parametrize(
    "spread", [PointSpread(0.006, 0.007), PointSpread(0.004, 0.012, focus=0.7, focal_length=0.3)]
)
def test_homogeneous_speckle_is_rayleigh(spread: PointSpread) -> None:
    envelope = homogeneous_envelope(np.random.default_rng(1), 384, spread)
    assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.1)
    assert np.mean(envelope**2) == pytest.approx(1.0, rel=0.1)
    # Samples several speckles apart are independent; the Rayleigh law has one parameter.
    sparse = envelope[::12, ::24].ravel()
    scale = math.sqrt(np.mean(sparse**2) / 2)
    assert stats.kstest(sparse, stats.rayleigh(scale=scale).cdf).pvalue > 0.01


def test_speckle_widens_away_from_the_focus() -> None:
    spread = PointSpread(0.006, 0.008, focus=0.2, focal_length=0.2)
    envelope = homogeneous_envelope(np.random.default_rng(2), 384, spread)

    def correlation(rows: slice, lag: int) -> float:
        part = envelope[rows] - envelope[rows].mean()
        return float(np.mean(part[:, lag:] * part[:, :-lag]) / np.mean(part**2))

    assert correlation(slice(300, 384), 6) > correlation(slice(40, 110), 6) + 0.2


def test_compression_maps_decibels_linearly() -> None:
    envelope = np.array([10.0, 1.0, 0.1, 0.001, 0.0, 100.0])
    level = compress(envelope, gain=20.0, dynamic_range=60.0)
    assert level == pytest.approx([1.0, 2 / 3, 1 / 3, 0.0, 0.0, 1.0])


def test_fan_is_symmetric_and_black_outside() -> None:
    picture = scan_convert(np.ones((64, 64)), Sector(radius=0.5, half_angle=0.6))
    assert picture == pytest.approx(picture[:, ::-1])
    assert picture[0, 0] == picture[-1, 0] == 0 and picture[32, 32] == 1
    # Area of an annular sector, in a box that it just fills.
    height, width = 1.5 - 0.5 * math.cos(0.6), 2 * 1.5 * math.sin(0.6)
    assert picture.mean() == pytest.approx(0.6 * (1.5**2 - 0.5**2) / (height * width), rel=0.03)


def test_samples_have_unique_stable_ids_labels_and_views() -> None:
    samples = PhantomDataset(PhantomConfig(images_per_organ=780)).samples()
    ids = [sample.id for sample in samples]
    assert len(set(ids)) == len(ids) == 3 * 780
    assert ids[0] == "breast/benign/0001" and ids[-1] == "lung/linear/0390"
    labels = [sample.label for sample in samples if sample.meta["organ"] == "breast"]
    assert [labels.count(x) for x in ("benign", "malignant", "normal")] == [437, 210, 133]
    for sample in samples:
        assert sample.has_mask == (sample.meta["organ"] == "breast")
    assert {(s.label, s.meta["view"]) for s in samples if not s.has_mask} == {
        ("heart", "4CH"),
        ("heart", "2CH"),
        ("lung", "convex"),
        ("lung", "linear"),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_counts_add_up(count: int) -> None:
    samples = PhantomDataset(PhantomConfig(images_per_organ=count)).samples()
    for organ in ("breast", "heart", "lung"):
        assert sum(sample.meta["organ"] == organ for sample in samples) == count


def test_image_is_the_same_whatever_the_order_thread_or_number_of_images() -> None:
    few = PhantomDataset(PhantomConfig(images_per_organ=6, size=SIZE))
    many = PhantomDataset(PhantomConfig(images_per_organ=60, size=SIZE))
    samples = list(few.samples())
    there = [read(few, sample) for sample in samples]
    back = [read(many, sample) for sample in reversed(samples)][::-1]
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda sample: read(few, sample), samples))
    assert there == back == threads


def test_images_differ_between_numbers_categories_and_seeds() -> None:
    images = {
        (category, seed, number): generate_image(category, seed, number, 64).tobytes()
        for category in CATEGORIES
        for seed in (0, 1)
        for number in (1, 2)
    }
    assert len(set(images.values())) == len(images)


@pytest.mark.parametrize("size", [48, 50, 160, 301])
@pytest.mark.parametrize("category", ["malignant", "4ch", "linear"])
def test_size_and_range(category: str, size: int) -> None:
    image = generate_image(category, 0, 1, size)
    mask = generate_mask(category, 0, 1, size)
    assert image.shape == mask.shape == (size, size)
    assert image.dtype == mask.dtype == np.uint8
    assert 20 < image.mean() < 160 and image.std() > 15
    assert set(np.unique(mask)) == ({0, 1} if category == "malignant" else {0})


def test_a_scene_looks_the_same_at_every_size() -> None:
    small = generate_image("benign", 0, 3, 80).astype(float)
    large = generate_image("benign", 0, 3, 320).reshape(80, 4, 80, 4).mean(axis=(1, 3))
    blurred = [ndimage.gaussian_filter(image, 3).ravel() for image in (small, large)]
    assert stats.pearsonr(blurred[0], blurred[1]).statistic > 0.9
    masks = [generate_mask("benign", 0, 3, size).mean() for size in (80, 320)]
    assert masks[0] == pytest.approx(masks[1], rel=0.05)


def test_heart_is_black_outside_the_sector() -> None:
    image = generate_image("4ch", 0, 1, SIZE)
    assert not image[: SIZE // 3, :8].any() and not image[: SIZE // 3, -8:].any()
    assert image[SIZE // 2, SIZE // 4 : -SIZE // 4].mean() > 15


def test_heart_walls_are_brighter_than_the_ventricle() -> None:
    images = [generate_image("2ch", 0, number, SIZE).astype(float) for number in range(1, 9)]
    mean = ndimage.gaussian_filter(np.mean(images, axis=0), 1.5)
    row = mean[round(0.4 * SIZE)]
    middle = slice(round(0.45 * SIZE), round(0.55 * SIZE))
    assert row[middle].mean() < 0.7 * row[round(0.3 * SIZE) : round(0.7 * SIZE)].max()


def test_pleural_line_is_the_brightest_of_most_lungs() -> None:
    found = 0
    for number in range(1, 21):
        image = generate_image("linear", 0, number, SIZE).astype(float)
        rows = np.median(image[8:], axis=1)
        line = int(rows.argmax()) + 8
        # The linear probe's pleura lies between 0.22 and 0.40 of the depth, give or take a slope.
        found += 0.18 * SIZE < line < 0.45 * SIZE
        assert rows.max() > 1.3 * np.median(image[line + 6 :])
    assert found >= 17


def lesion_contrast(category: str, number: int) -> float:
    image = generate_image(category, 0, number, SIZE).astype(float)
    mask = generate_mask(category, 0, number, SIZE) > 0
    ring = ndimage.binary_dilation(mask, iterations=6) & ~ndimage.binary_dilation(mask)
    return float(image[ring].mean() - image[mask].mean())


@pytest.mark.parametrize("category", ["benign", "malignant"])
def test_lesions_are_dark_and_of_plausible_size(category: str) -> None:
    contrasts = [lesion_contrast(category, number) for number in range(1, 41)]
    assert np.mean(np.array(contrasts) > 10) >= 0.9
    areas = [generate_mask(category, 0, number, SIZE).mean() for number in range(1, 41)]
    low, high = {"benign": (0.03, 0.08), "malignant": (0.07, 0.15)}[category]
    assert low < np.median(areas) < high
    assert np.mean(np.array(areas) >= 0.025) >= 0.9 and max(areas) < 0.35


@pytest.mark.parametrize("category", ["benign", "malignant"])
def test_a_lesion_is_one_piece(category: str) -> None:
    for number in range(1, 16):
        mask = generate_mask(category, 0, number, SIZE)
        sizes = np.bincount(ndimage.label(mask)[0].ravel())[1:]
        assert sizes.max() > 0.97 * sizes.sum()


def test_malignant_outlines_are_more_ragged_than_benign_ones() -> None:
    def roundness(category: str, number: int) -> float:
        mask = generate_mask(category, 0, number, 160)
        outline = mask - ndimage.binary_erosion(mask)
        return float(4 * math.pi * mask.sum() / outline.sum() ** 2)

    values = {c: [roundness(c, n) for n in range(1, 21)] for c in ("benign", "malignant")}
    assert np.median(values["malignant"]) < 0.8 * np.median(values["benign"])


def test_normals_have_empty_masks_and_other_organs_none() -> None:
    dataset = PhantomDataset(PhantomConfig(images_per_organ=6, size=48))
    for sample in dataset.samples():
        mask = dataset.read_mask(sample)
        if sample.label == "normal":
            assert mask is not None and mask.shape == (48, 48) and not mask.any()
        assert (mask is None) == (sample.meta["organ"] != "breast")


def test_data_key_depends_on_what_the_pixels_depend_on() -> None:
    keys = {
        PhantomDataset(PhantomConfig(**settings)).data_key()
        for settings in ({}, {"seed": 1}, {"size": 64})
    }
    assert len(keys) == 3
    longer = PhantomDataset(PhantomConfig(images_per_organ=7)).data_key()
    assert longer == PhantomDataset(PhantomConfig()).data_key()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"organs": ["liver"]}, "organs"),
        ({"organs": []}, "organs"),
        ({"organs": ["lung", "lung"]}, "twice"),
        ({"images_per_organ": 0}, "images_per_organ"),
        ({"size": 32}, "size"),
        ({"seed": -1}, "seed"),
        ({"sise": 64}, "sise"),
    ],
)
def test_config_mistakes_name_the_field(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        PhantomConfig.model_validate(settings)


def test_declaring_and_configuring_import_nothing_heavy() -> None:
    code = (
        "import sys; import ssl_registry_phantom as p; p.ssl_registry_components();"
        "import ssl_registry_phantom.config as c; c.PhantomConfig();"
        "print({'numpy', 'scipy', 'torch', 'timm', 'kornia'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
