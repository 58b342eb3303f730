from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import Part, SplitConfig
from ssl_registry.data.cache import ImageCache
from ssl_registry.data.leaks import (
    Leak,
    LeakReport,
    LeakWarning,
    dataset_leaks,
    find_leaks,
    warn_of_leaks,
)
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.data.registration import Match
from ssl_registry.data.thumbnails import thumbnails
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Sample
from ssl_registry.registry import config_model


def picture(seed: int, side: int = 128) -> NDArray[np.uint8]:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((2, side, side)), (0, 1, 1))
    return (np.hypot(*noise) / np.abs(noise).mean() * 70).clip(0, 255).astype(np.uint8)


class Pictures(Dataset):
    """Pictures 0 to 5; numbers from 10 are mirrored copies of those from 0, a bit darker."""

    info = DatasetInfo("none", "none", "none", "none", "none")
    numbers: tuple[int, ...] = (0, 1, 2, 10, 11, 3, 4, 13)
    groups: Sequence[str | None] = ()

    def samples(self) -> list[Sample]:
        groups = self.groups or [None] * len(self.numbers)
        return [Sample(f"p{n}", group=g) for n, g in zip(self.numbers, groups, strict=True)]

    def read_image(self, sample: Sample) -> Image:
        number = int(sample.id[1:])
        image = picture(number % 10)
        return image if number < 10 else (0.9 * image[:, ::-1]).astype(np.uint8)


PARTS: dict[str, Part] = {
    "p0": "train", "p1": "train", "p2": "train",
    "p10": "val", "p11": "test", "p3": "test", "p4": "test", "p13": "val",
}  # fmt: skip


def loaded(data: Dataset, channels: int = 1, unreadable: Sequence[int] = ()) -> LoadedData:
    samples = tuple(data.samples())
    images = np.stack([data.read_image(sample) for sample in samples])
    stored = np.repeat(images[:, None], channels, axis=1)
    cache = ImageCache(stored, None, dict.fromkeys(unreadable, "damaged"), "digest")
    return LoadedData(data, samples, {s.id: PARTS[s.id] for s in samples}, cache)


@pytest.fixture
def data() -> Pictures:
    return Pictures(DatasetConfig(name="pictures"))


@pytest.mark.parametrize("channels", [1, 3])
def test_only_pairs_with_a_training_image_leak(data: Pictures, channels: int) -> None:
    """p3 and its copy p13 lie in test and val: neither is trained on."""
    report = find_leaks(loaded(data, channels))
    assert report
    pairs = {(leak.train, leak.other, leak.part, leak.relation) for leak in report.leaks}
    assert pairs == {
        ("p0", "p10", "val", "copy, mirrored"),
        ("p1", "p11", "test", "copy, mirrored"),
    }
    assert report.leaked("val") == ["p10"]
    assert report.leaked("test") == ["p11"]
    assert report.sizes == {"val": 2, "test": 3}
    first, second = report.lines()
    assert first.startswith("pictures: 1 of 2 val images have near-duplicates among the training")
    assert "p11 ~ p1 (copy, mirrored, 1.00)" in second
    assert 'split.group_by = "duplicates"' in second
    thorough = dataset_leaks(data, data.samples(), PARTS)
    assert {(leak.train, leak.other) for leak in thorough.leaks} == {("p0", "p10"), ("p1", "p11")}


def test_images_that_were_left_out_do_not_leak(data: Pictures) -> None:
    assert [leak.other for leak in find_leaks(loaded(data, unreadable=[3])).leaks] == ["p11"]


def test_groups_in_two_parts_are_named(data: Pictures) -> None:
    data.numbers = (0, 1, 2, 3, 4, 13)
    data.groups = ("a", "b", None, "b", "c", "a")
    report = find_leaks(loaded(data))
    assert not report.leaks
    assert report.groups == {"val": ("a",), "test": ("b",)}
    assert [line.split(";")[0] for line in report.lines()] == [
        "pictures: 1 groups (patients, recordings) have images in train and in val: a",
        "pictures: 1 groups (patients, recordings) have images in train and in test: b",
    ]


def test_no_leak_is_no_warning(data: Pictures) -> None:
    data.numbers = (0, 1, 3, 4)
    report = find_leaks(loaded(data))
    assert not report
    assert report.lines() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_leaks(report.lines())


def test_warning_names_a_few_images_and_counts_the_rest() -> None:
    leaks = [Leak(f"t{n}", f"v{n // 2}", "val", 0.9 - n / 100, "copy") for n in range(14)]
    report = LeakReport("set", tuple(leaks), {"val": 9, "test": 9}, {})
    with pytest.warns(LeakWarning) as caught:
        warn_of_leaks(report.lines())
    assert [str(warning.message) for warning in caught] == [
        "set: 7 of 9 val images have near-duplicates among the training images: "
        "v0 ~ t0 (copy, 0.90), v1 ~ t2 (copy, 0.88), v2 ~ t4 (copy, 0.86), v3 ~ t6 (copy, 0.84), "
        'v4 ~ t8 (copy, 0.82) and 2 more; set split.group_by = "duplicates" to keep them together'
    ]
    assert caught[0].filename == __file__


@pytest.mark.data
def test_leaks_of_the_common_split_of_busi(data_root: Path, close_comparisons: list[Match]) -> None:
    split = SplitConfig(kind="file", file=data_root / "busi" / "split_medimeta_seed42.csv")
    config = config_model("dataset", "busi")(root=data_root / "busi", split=split)
    assert isinstance(config, DatasetConfig)
    data = load_data(config, size=64, channels=1, masks=False)
    report = find_leaks(data)
    # Of 546 x 234 pairs so few are looked at closely that a run starts no later for it.
    assert len(report.leaks) <= len(close_comparisons) < 546 * 234 / 500

    ids = [sample.id for sample in data.samples]
    full = [data.dataset.read_image(sample) for sample in data.samples]
    rows = thumbnails(full).reshape(len(ids), -1).astype(float)
    known = set()
    for i, j in np.argwhere(np.triu(np.corrcoef(rows) > 0.99, 1)):
        parts = {data.parts[ids[i]]: ids[i], data.parts[ids[j]]: ids[j]}
        if set(parts) == {"train", "test"}:
            known.add((parts["train"], parts["test"]))
    assert 27 <= len(known) <= 30  # 28 were counted on larger copies of the images
    found = {(leak.train, leak.other) for leak in report.leaks if leak.part == "test"}
    assert known <= found
    assert 40 <= len(found) <= 70
