from __future__ import annotations

import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import DataError, DatasetNotFoundError
from ssl_registry.data.load import load_data
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_natural.config import MiniImageNetConfig
from ssl_registry_natural.mini_imagenet import MiniImageNetDataset
from ssl_registry_natural.sample import MINI_CLASSES, colour, write_mini_imagenet

COUNTS = {"train": 6, "val": 3, "test": 3}


def write(root: Path, tree: bool = False) -> Path:
    write_mini_imagenet(root, 0, tree=tree)
    return root


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write(tmp_path / "mini_imagenet")


def dataset(root: Path, **settings: Any) -> MiniImageNetDataset:
    return MiniImageNetDataset(MiniImageNetConfig(root=root, **settings))


def test_images_come_in_the_order_of_the_lists(release: Path) -> None:
    data = dataset(release)
    samples = data.samples()
    assert [s.id for s in samples][:4] == [
        "n01532829/n0153282900000002",
        "n01532829/n0153282900000000",
        "n01532829/n0153282900000001",
        "n01558993/n0155899300000002",
    ]
    assert {(s.label, s.split) for s in samples} == {
        (label, part) for part, classes in MINI_CLASSES.items() for label in classes
    }
    for number, sample in enumerate(samples):
        image = data.read_image(sample)
        assert image.shape == (84, 84, 3)
        np.testing.assert_allclose(image[40, 40], colour(number), atol=3)  # jpeg is lossy


@pytest.mark.parametrize(
    ("partition", "sizes", "totals"),
    [
        ("official", COUNTS, {"train": 38_400, "val": 9_600, "test": 12_000}),
        ("study", {"train": 9, "val": 3}, {"train": 48_000, "val": 12_000}),
    ],
)
def test_partitions(
    release: Path, partition: str, sizes: dict[str, int], totals: dict[str, int]
) -> None:
    data = dataset(release, partition=partition)
    samples = data.samples()
    assert Counter(make_split(samples, data.config.split).values()) == sizes
    assert data.info.release is not None
    expected = {f"split/{part}": total for part, total in totals.items()}
    assert data.info.release.totals == {"images": 60_000, **expected}


def test_the_study_validates_on_the_official_test_images(release: Path) -> None:
    samples = dataset(release, partition="study").samples()
    assert {s.label for s in samples if s.split == "val"} == set(MINI_CLASSES["test"])


def test_root_may_be_the_folder_above(release: Path) -> None:
    assert dataset(release.parent).samples() == dataset(release).samples()


def test_images_may_lie_in_a_folder_for_each_label(release: Path, tmp_path: Path) -> None:
    tree = dataset(write(tmp_path / "tree" / "mini", tree=True)).samples()
    assert [s.id for s in tree] == [s.id for s in dataset(release).samples()]
    assert tree[0].files[0].parent.name == "n01532829"


def test_a_list_may_name_files_with_their_folder(tmp_path: Path) -> None:
    root = write(tmp_path, tree=True)
    listed = [s.id for s in dataset(root).samples()]
    for part in MINI_CLASSES:
        lines = (root / f"{part}.csv").read_text().splitlines()
        rows = [line.split(",") for line in lines[1:]]
        text = "\r\n".join([" filename , label", *(f"{b}/{a}, {b}" for a, b in rows)])
        (root / f"{part}.csv").write_text("\ufeff" + text)
    assert [s.id for s in dataset(root).samples()] == listed


def test_component_is_found_and_cached(release: Path) -> None:
    config = config_model("dataset", "mini_imagenet")(root=release)
    assert len(factory("dataset", "mini_imagenet")(config).samples()) == 12
    loaded = load_data(config, size=32, channels=3, masks=False)
    assert loaded.cache.images.shape == (12, 3, 32, 32)


def test_a_listed_file_that_is_missing_is_named_with_its_list(release: Path) -> None:
    (release / "images" / "n0185567200000000.jpg").unlink()
    with pytest.raises(DataError, match=r"1 listed .* n0185567200000000\.jpg \(.*val\.csv, line 3"):
        dataset(release).samples()
    rest = dataset(release, skip_unreadable=True).samples()
    assert Counter(s.split for s in rest) == {"train": 6, "val": 2, "test": 3}


def test_a_list_cannot_name_files_elsewhere(release: Path) -> None:
    outside = release / "secret.jpg"
    PillowImage.new("RGB", (8, 8)).save(outside)
    with (release / "val.csv").open("a") as file:
        file.write(f"../secret.jpg,n01855672\n{outside},n01855672\n")
    with pytest.raises(DataError, match=r"2 listed images are not in"):
        dataset(release).samples()


def test_a_file_listed_twice_is_named_with_its_line(release: Path) -> None:
    with (release / "test.csv").open("a") as file:
        file.write("n0153282900000001.jpg,n01532829\n")
    with pytest.raises(DataError, match=r"test\.csv, line 5: n0153282900000001\.jpg .* second"):
        dataset(release).samples()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first line has none"),
        (b"n01.jpg,n01\n", "needs the columns filename and label"),
        (b"filename,label\nn0185567200000000.jpg\n", "line 2: it lacks"),
        (b"filename,label\n,n01855672\n", "line 2: it lacks"),
        (b"filename,label\n\xff\xfe,n01\n", "not a CSV in UTF-8"),
    ],
)
def test_damaged_lists(release: Path, content: bytes, message: str) -> None:
    (release / "val.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        dataset(release).samples()


def test_a_damaged_image_is_named(release: Path) -> None:
    data = dataset(release)
    sample = data.samples()[0]
    sample.files[0].write_bytes(sample.files[0].read_bytes()[:400])
    with pytest.raises(DataError, match=r"n0153282900000002\.jpg"):
        data.read_image(sample)


@pytest.mark.parametrize("name", ["train.csv", "val.csv", "test.csv", "images"])
def test_an_incomplete_release_says_what_is_missing(release: Path, name: str) -> None:
    (release / name).rename(release / "elsewhere")
    with pytest.raises(DatasetNotFoundError, match=rf"{name}; make them from the ILSVRC-2012"):
        dataset(release).samples()


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os._exit, (1,))


def test_pickles_are_named_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "mini-imagenet-cache-train.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DatasetNotFoundError, match=r"only pickles such as .*train\.pkl"):
        dataset(tmp_path).samples()
