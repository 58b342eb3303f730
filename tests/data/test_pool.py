from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import Part
from ssl_registry.data import pool as pool_module
from ssl_registry.data.cache import ImageCache
from ssl_registry.data.load import LoadedData
from ssl_registry.data.pool import ImagePool, stored_channels
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Sample


class Listed(Dataset):
    info = DatasetInfo("breast", "toy", "CC0", "none", "none")

    def samples(self) -> Sequence[Sample]:
        return []

    def read_image(self, sample: Sample) -> Image:
        raise NotImplementedError


def member(
    name: str,
    parts: str,
    meta: Sequence[dict[str, str]] = (),
    unreadable: Sequence[int] = (),
    channels: int = 1,
) -> LoadedData:
    """A dataset of random images; `parts` has a letter for the part of each."""
    names: dict[str, Part] = {"r": "train", "v": "val", "t": "test"}
    facts = meta or [{}] * len(parts)
    samples = tuple(Sample(f"{name}-{i}", meta=facts[i]) for i in range(len(parts)))
    rng = np.random.default_rng(len(name))
    images = rng.integers(0, 256, (len(parts), channels, 8, 8), dtype=np.uint8)
    images.flags.writeable = False
    return LoadedData(
        Listed(DatasetConfig(name=name)),
        samples,
        {sample.id: names[letter] for sample, letter in zip(samples, parts, strict=True)},
        ImageCache(images, None, dict.fromkeys(unreadable, "broken"), "print"),
    )


def naive(members: Sequence[LoadedData], parts: Sequence[Part]) -> list[np.ndarray]:
    return [
        one.cache.images[place]
        for one in members
        for place, sample in enumerate(one.samples)
        if one.parts[sample.id] in parts and place not in one.cache.unreadable
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("parts", [("train",), ("train", "test"), ("val",)])
def test_gather_equals_a_loop(count: int, parts: tuple[Part, ...]) -> None:
    members = [
        member("one", "rrvtrv", unreadable=[1]),
        member("three", "tvrr", unreadable=[2]),
        member("seventh", "rvrtrrr"),
    ][:count]
    pool = ImagePool(members, parts)
    images = naive(members, parts)
    assert len(pool) == len(images)
    rng = np.random.default_rng(0)
    for size in (1, 5, 20):
        indices = rng.integers(0, len(pool), size)
        batch = pool.images(indices)
        assert batch.dtype == torch.uint8
        np.testing.assert_array_equal(batch.numpy(), [images[i] for i in indices])


@pytest.mark.parametrize("count", [1, 2])
def test_batches_are_the_callers_own(count: int) -> None:
    pool = ImagePool([member("one", "rrr"), member("three", "rr")][:count], ["train"])
    indices = np.arange(len(pool))
    before = pool.images(indices).clone()
    pool.images(indices).zero_()
    assert torch.equal(pool.images(indices), before)


def test_vocabulary_and_codes() -> None:
    organs = [{"organ": "lung", "view": "b"}, {"organ": "heart"}, {"organ": "unused"}]
    pool = ImagePool([member("zeta", "rrt", organs), member("alpha", "r")], ["train"])
    assert pool.vocabulary == {
        "dataset": ("alpha", "zeta"),
        "organ": ("breast", "heart", "lung"),  # breast is what the dataset says of itself
        "view": ("b",),
    }
    codes = pool.meta(np.array([2, 0, 1, 0]))
    assert {key: value.tolist() for key, value in codes.items()} == {
        "dataset": [0, 1, 1, 1],
        "organ": [0, 2, 1, 2],
        "view": [-1, 0, -1, 0],
    }
    assert all(value.dtype == torch.int64 for value in codes.values())


def test_organ_of_a_mixed_dataset_is_what_the_samples_say() -> None:
    mixed = member("mixed", "rrr", [{"organ": "lung"}, {}, {"organ": "heart"}])
    mixed.dataset.info = replace(Listed.info, organ="mixed")
    pool = ImagePool([mixed], ["train"])
    assert pool.vocabulary["organ"] == ("heart", "lung")
    assert pool.meta(np.arange(3))["organ"].tolist() == [1, -1, 0]


def test_a_value_for_each_of_many_samples() -> None:
    many = 20_000
    pool = ImagePool(
        [member("many", "r" * many, [{"patient": f"{n:05}"} for n in range(many)])], ["train"]
    )
    assert pool.vocabulary["patient"] == tuple(f"{n:05}" for n in range(many))
    assert pool.meta(np.array([0, 19_999, 7]))["patient"].tolist() == [0, 19_999, 7]


def test_a_dataset_may_be_empty_but_not_all() -> None:
    members = [member("one", "vv"), member("three", "rv")]
    assert len(ImagePool(members, ["train"])) == 1
    with pytest.raises(DataError, match="no images in train and test of one"):
        ImagePool(members[:1], ["train", "test"])
    with pytest.raises(DataError, match="no images in test of one, three"):
        ImagePool(members, ["test"])


@pytest.mark.parametrize(
    ("datasets", "network", "stored"),
    [
        ((1,), 1, 1),
        ((1,), 3, 1),
        ((3,), 3, 3),
        ((3,), 1, 1),
        ((1, 1), 3, 1),
        ((1, 3), 3, 3),
        ((3, 1), 1, 1),
    ],
)
def test_stored_channels(
    datasets: tuple[int, ...], network: int, stored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(config: DatasetConfig) -> Dataset:
        dataset = Listed(config)
        channels = int(config.name)
        dataset.info = DatasetInfo("o", "m", "l", "c", "s", channels=channels)  # type: ignore[arg-type]
        return dataset

    monkeypatch.setattr(pool_module, "build_dataset", built)
    configs = [DatasetConfig(name=str(channels)) for channels in datasets]
    assert stored_channels(configs, network) == stored
