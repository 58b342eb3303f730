from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import DataError, DatasetNotFoundError, Sample
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_busi.config import BusiConfig
from ssl_registry_busi.dataset import BusiDataset
from ssl_registry_busi.sample import HEIGHT, WIDTH, box, write_release


def picture() -> np.ndarray:
    """A colour picture whose three channels differ."""
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PillowImage.fromarray(array)
    (image.convert(mode) if mode else image).save(path)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tiny release: benign 1, 2, 10 (three masks), malignant 1, normal 1; `picture` is first."""
    names = ("benign (1)", "benign (2)", "benign (10)", "malignant (1)", "normal (1)")
    write_release(tmp_path, 3, names)
    return tmp_path


def dataset(root: Path, skip_unreadable: bool = False) -> BusiDataset:
    return BusiDataset(BusiConfig(root=root, skip_unreadable=skip_unreadable))


def sample(data: BusiDataset, name: str) -> Sample:
    return next(s for s in data.samples() if s.id == name)


def masks(root: Path, name: str, number: str = "") -> Path:
    return root / "Dataset_BUSI_with_GT" / name.split()[0] / f"{name}_mask{number}.png"


def test_samples_are_sorted_by_class_and_number_with_all_their_files(release: Path) -> None:
    samples = dataset(release).samples()
    assert [s.id for s in samples] == [
        "benign (1)",
        "benign (2)",
        "benign (10)",
        "malignant (1)",
        "normal (1)",
    ]
    assert [s.label for s in samples] == ["benign"] * 3 + ["malignant", "normal"]
    assert all(s.has_mask and s.group is None and s.split is None for s in samples)
    assert [path.name for path in samples[2].files] == [
        "benign (10).png",
        "benign (10)_mask.png",
        "benign (10)_mask_1.png",
        "benign (10)_mask_2.png",
    ]


def test_root_may_be_the_folder_above_or_the_release_itself(release: Path) -> None:
    above = dataset(release).samples()
    itself = dataset(release / "Dataset_BUSI_with_GT").samples()
    assert above == itself


def test_component_is_found_and_created_by_name(release: Path) -> None:
    data = factory("dataset", "busi")(config_model("dataset", "busi")(root=release))
    assert [s.id for s in data.samples()][:2] == ["benign (1)", "benign (2)"]
    assert data.info.lesion_free_label == "normal"
    assert data.info.classes == ("lesion",)


def test_image_is_luma(release: Path) -> None:
    data = dataset(release)
    image = data.read_image(sample(data, "benign (1)"))
    # ITU-R 601-2 luma, as Pillow documents it for mode L.
    expected = picture() @ np.array([0.299, 0.587, 0.114])
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image, expected, atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_gray_image_is_the_same_in_every_colour_mode(release: Path, mode: str) -> None:
    gray = np.where(picture()[..., 0] > 127, 255, 0).astype(np.uint8)
    path = release / "Dataset_BUSI_with_GT" / "benign" / "benign (1).png"
    save(path, gray, mode)
    data = dataset(release)
    np.testing.assert_array_equal(data.read_image(sample(data, "benign (1)")), gray)


def test_mask_is_the_union_of_all_masks(release: Path) -> None:
    data = dataset(release)
    mask = data.read_mask(sample(data, "benign (10)"))
    expected = (box(2, 3) > 0) | (box(6, 3) > 0) | (box(4, 10) > 0)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, expected.astype(np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_mask_is_the_same_in_every_colour_mode(release: Path, mode: str) -> None:
    save(masks(release, "benign (1)"), box(5, 6), mode)  # alpha is 255 everywhere
    data = dataset(release)
    mask = data.read_mask(sample(data, "benign (1)"))
    np.testing.assert_array_equal(mask, box(5, 6) > 0)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_mask_drawn_in_one_colour_counts(release: Path, channel: int) -> None:
    coloured = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    coloured[..., channel] = box(5, 6)
    save(masks(release, "benign (1)"), coloured)
    data = dataset(release)
    np.testing.assert_array_equal(data.read_mask(sample(data, "benign (1)")), box(5, 6) > 0)


def test_palette_mask_with_transparency_is_read_by_its_colours(release: Path) -> None:
    indexed = PillowImage.fromarray((box(5, 6) // 255).astype(np.uint8), mode="L").convert("P")
    indexed.putpalette([0, 0, 0, 255, 255, 255])
    indexed.save(masks(release, "benign (1)"), transparency=bytes([0, 128]))
    data = dataset(release)
    np.testing.assert_array_equal(data.read_mask(sample(data, "benign (1)")), box(5, 6) > 0)


def test_sixteen_bit_mask_and_image(release: Path) -> None:
    path = release / "Dataset_BUSI_with_GT" / "benign" / "benign (1).png"
    gray = picture()[..., 0]
    save(path, gray.astype(np.uint16) * 257)
    save(masks(release, "benign (1)"), box(5, 6).astype(np.uint16) * 257)
    data = dataset(release)
    np.testing.assert_array_equal(data.read_image(sample(data, "benign (1)")), gray)
    np.testing.assert_array_equal(data.read_mask(sample(data, "benign (1)")), box(5, 6) > 0)


def test_gray_values_are_cut_above_127(release: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[0, :4] = (127, 128, 200, 255)
    save(masks(release, "benign (1)"), mask)
    data = dataset(release)
    found = data.read_mask(sample(data, "benign (1)"))
    assert found[0, :5].tolist() == [0, 1, 1, 1, 0]


def test_mask_of_zeros_and_ones_does_not_vanish_silently(release: Path) -> None:
    save(masks(release, "benign (2)"), box(5, 6) // 255)
    data = dataset(release)
    with pytest.raises(DataError, match=r"benign \(2\)_mask\.png has values up to 1"):
        data.read_mask(sample(data, "benign (2)"))


def test_normal_mask_is_empty(release: Path) -> None:
    data = dataset(release)
    assert not data.read_mask(sample(data, "normal (1)")).any()


def test_mask_of_another_size_names_the_file_and_both_sizes(release: Path) -> None:
    save(masks(release, "benign (10)", "_1"), box(2, 3)[:, :-1])
    data = dataset(release)
    with pytest.raises(DataError, match=r"benign \(10\)_mask_1\.png is 16x12 .* is 17x12"):
        data.read_mask(sample(data, "benign (10)"))


def test_image_without_a_mask_can_be_read_but_its_mask_cannot(release: Path) -> None:
    masks(release, "malignant (1)").unlink()
    data = dataset(release)
    alone = sample(data, "malignant (1)")
    assert data.read_image(alone).shape == (HEIGHT, WIDTH)
    with pytest.raises(DataError, match=r"malignant \(1\)\.png has no mask"):
        data.read_mask(alone)


def test_mask_without_its_image(release: Path) -> None:
    (release / "Dataset_BUSI_with_GT" / "benign" / "benign (2).png").unlink()
    with pytest.raises(DataError, match=r"1 of the masks lack their image.*benign \(2\)_mask\.png"):
        dataset(release).samples()
    skipped = dataset(release, skip_unreadable=True).samples()
    assert [s.id for s in skipped if s.label == "benign"] == ["benign (1)", "benign (10)"]


def test_truncated_or_damaged_image_never_gives_anything_but_a_data_error(release: Path) -> None:
    data = dataset(release)
    target = sample(data, "benign (1)")
    whole = target.files[0].read_bytes()
    intact = data.read_image(target)
    for length in range(0, len(whole), 7):
        target.files[0].write_bytes(whole[:length])
        try:
            image = data.read_image(target)
        except DataError as error:
            assert "benign (1).png" in str(error)
        else:  # only the end marker is missing
            assert length > len(whole) - 24
            np.testing.assert_array_equal(image, intact)
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= draw.randrange(1, 256)
        target.files[0].write_bytes(damaged)
        try:
            assert data.read_image(target).dtype == np.uint8
        except DataError as error:
            assert "benign (1).png" in str(error)


def test_decompression_bomb(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PillowImage, "MAX_IMAGE_PIXELS", 50)
    data = dataset(release)
    with pytest.raises(DataError, match=r"benign \(1\)\.png"):
        data.read_image(sample(data, "benign (1)"))


def test_foreign_files_are_passed_over(release: Path) -> None:
    folder = release / "Dataset_BUSI_with_GT" / "benign"
    before = dataset(release).samples()
    (folder / "Thumbs.db").write_bytes(b"")
    (folder / "benign (3).txt").write_text("")
    for name in ("malignant (7)", "benign (3) copy", "benign (x)", "benign"):
        save(folder / f"{name}.png", picture())
    assert dataset(release).samples() == before


def test_listing_opens_no_file(release: Path) -> None:
    for path in release.rglob("*.png"):
        path.write_bytes(b"")
    assert len(dataset(release).samples()) == 5


def test_missing_folder_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no folder .*/nowhere; fetch them with"):
        dataset(tmp_path / "nowhere").samples()


def test_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="holds a folder benign, malignant or normal"):
        dataset(tmp_path).samples()
    (tmp_path / "benign").mkdir()
    with pytest.raises(DatasetNotFoundError, match="holds no image such as"):
        dataset(tmp_path).samples()


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_busi, ssl_registry_busi.config\n"
        "list(ssl_registry_busi.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def busi(data_root: Path) -> BusiDataset:
    return dataset(data_root / "busi")


@pytest.mark.data
def test_real_release_lists_every_image_and_mask(busi: BusiDataset) -> None:
    samples = busi.samples()
    assert Counter(s.label for s in samples) == {"benign": 437, "malignant": 210, "normal": 133}
    assert sum(len(s.files) - 1 for s in samples) == 798
    several = {s.id: len(s.files) - 1 for s in samples if len(s.files) > 2}
    assert len(several) == 17
    assert several.pop("benign (195)") == 3
    assert set(several.values()) == {2}
    for label, size in (("benign", 437), ("malignant", 210), ("normal", 133)):
        ids = [s.id for s in samples if s.label == label]
        assert ids == [f"{label} ({number})" for number in range(1, size + 1)]


@pytest.mark.data
def test_real_masks(busi: BusiDataset) -> None:
    for s in busi.samples():
        image, mask = busi.read_image(s), busi.read_mask(s)
        assert image.ndim == 2
        assert image.shape == mask.shape
        assert mask.max() == (0 if s.label == "normal" else 1), s.id
        assert mask.mean() < 0.9, s.id


@pytest.mark.data
@pytest.mark.parametrize("name", ["benign (4)", "benign (54)"])
def test_real_opaque_rgba_mask_adds_its_own_lesion_only(busi: BusiDataset, name: str) -> None:
    s = sample(busi, name)
    first, second = (np.asarray(PillowImage.open(path).convert("L")) > 127 for path in s.files[1:])
    mask = busi.read_mask(s)
    np.testing.assert_array_equal(mask, first | second)
    assert first.sum() < mask.sum() < 0.5 * mask.size


@pytest.mark.data
def test_real_default_split_has_the_published_sizes(busi: BusiDataset) -> None:
    samples = busi.samples()
    split = make_split(samples, busi.config.split)
    assert Counter(split.values()) == {"train": 546, "val": 78, "test": 156}
    table = Counter((split[s.id], s.label) for s in samples)
    by_part = {
        part: [table[part, label] for label in ("benign", "malignant", "normal")]
        for part in ("train", "val", "test")
    }
    assert by_part == {"train": [306, 147, 93], "val": [44, 21, 13], "test": [87, 42, 27]}
