"""Statistics of a dataset against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from ssl_registry import DataError, Dataset, DatasetConfig, DatasetInfo, Image, Mask, Sample
from ssl_registry.data.choice import choose_samples
from ssl_registry.data.statistics import image_statistics
from ssl_registry.errors import ConfigError


class Made(Dataset):
    """Three images: a half-white one, one in colour with a speck, and one that is damaged."""

    info = DatasetInfo("none", "made", "", "", "", classes=("left", "speck"))

    def samples(self) -> Sequence[Sample]:
        return [
            Sample("half", label="a", has_mask=True),
            Sample("colour", has_mask=True),
            Sample("damaged"),
        ]

    def read_image(self, sample: Sample) -> Image:
        if sample.id == "damaged":
            raise DataError("cannot read damaged")
        if sample.id == "colour":
            return np.full((10, 40, 3), (200, 100, 0), np.uint8)
        image = np.zeros((20, 10), np.uint8)
        image[:, :5] = 100
        return image

    def read_mask(self, sample: Sample) -> Mask | None:
        if sample.id == "half":
            mask = np.zeros((20, 10), np.uint8)
            mask[:, :5] = 1
            return mask
        mask = np.zeros((10, 40), np.uint8)
        mask[3, 7] = 2
        return mask


def made(skip: bool) -> Made:
    return Made(DatasetConfig(name="made", skip_unreadable=skip))


def test_statistics_by_hand() -> None:
    dataset = made(skip=True)
    table = image_statistics(dataset, dataset.samples(), [4, 40]).set_index("id")
    assert list(table.index) == ["half", "colour"]
    half, colour = table.loc["half"], table.loc["colour"]
    assert (half["width"], half["height"]) == (10, 20)
    assert (half["mean"], half["sd"], half["black"]) == (50, 50, 0.5)
    assert half["label"] == "a" and pd.isna(colour["label"])
    assert colour["mean"] == pytest.approx(0.299 * 200 + 0.587 * 100)
    assert half["area/left"] == 0.5 and math.isnan(half["area/speck"])
    assert colour["area/speck"] == 1 / 400 and math.isnan(colour["area/left"])
    # A speck of one pixel in 400 fills 1/25 of a pixel of 4 x 4, and 4 whole ones of 40 x 40.
    assert colour["lost/speck@4"] and not colour["lost/speck@40"]
    assert not half["lost/left@4"]


def test_an_unreadable_image_is_an_error_unless_it_may_be_skipped() -> None:
    dataset = made(skip=False)
    with pytest.raises(DataError, match="cannot read damaged"):
        image_statistics(dataset, dataset.samples(), [4])
    with pytest.raises(DataError, match="no image of 'made' can be read"):
        image_statistics(made(skip=True), [Sample("damaged")], [4])


SAMPLES = [Sample(f"{label}{number}", label) for label in "ab" for number in range(10)]


def test_samples_are_drawn_from_each_label_in_turn() -> None:
    chosen = choose_samples(SAMPLES, 7)
    assert [sample.label for sample in chosen] == ["a", "b", "a", "b", "a", "b", "a"]
    assert len({sample.id for sample in chosen}) == 7
    assert chosen == choose_samples(SAMPLES, 7)
    assert chosen != choose_samples(SAMPLES, 7, seed=1)
    assert {s.label for s in choose_samples(SAMPLES, 50, labels=["b"])} == {"b"}
    assert len(choose_samples(SAMPLES, 50, labels=["b", "b"])) == 10
    assert len(choose_samples(SAMPLES, 50)) == 20


def test_named_samples_come_in_their_order() -> None:
    assert [s.id for s in choose_samples(SAMPLES, 1, ids=["b3", "a1"])] == ["b3", "a1"]
    with pytest.raises(ConfigError, match=r"no image 'a11'.*did you mean"):
        choose_samples(SAMPLES, 1, ids=["a11"])
    with pytest.raises(ConfigError, match="no label 'c'; there are a, b"):
        choose_samples(SAMPLES, 1, labels=["c"])
