"""Datasets of picture files: what is read without a line of the plugin's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import (
    DataError,
    DatasetInfo,
    FolderDatasetConfig,
    PictureDataset,
    Sample,
)


class Pictures(PictureDataset):
    info = DatasetInfo("breast", "ultrasound", "CC0-1.0", "none", "none", classes=("lesion",))

    def samples(self) -> Sequence[Sample]:
        first, *others = sorted(self.root.glob("*.png"))
        return [Sample("first", files=(first, *others))]


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 200
    PillowImage.fromarray(red).save(tmp_path / "a.png")
    for name, row in (("b", 0), ("c", 1)):
        mask = np.zeros((2, 3), np.uint8)
        mask[row, row] = 255
        PillowImage.fromarray(mask).save(tmp_path / f"{name}.png")
    return Pictures(FolderDatasetConfig(name="pictures", root=tmp_path))


def test_image_has_the_declared_channels(pictures: Pictures) -> None:
    (sample,) = pictures.samples()
    assert np.array_equal(pictures.read_image(sample), np.full((2, 3), 60))  # 0.299 * 200
    pictures.info = replace(pictures.info, channels=3)
    assert np.array_equal(pictures.read_image(sample), np.tile([200, 0, 0], (2, 3, 1)))


def test_mask_is_the_union_of_all_masks(pictures: Pictures) -> None:
    (sample,) = pictures.samples()
    mask = pictures.read_mask(sample)
    assert mask is not None
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert pictures.read_mask(Sample("bare", files=sample.files[:1])) is None


def test_mask_of_another_size_is_named(pictures: Pictures) -> None:
    (sample,) = pictures.samples()
    PillowImage.fromarray(np.zeros((2, 4), np.uint8)).save(sample.files[2])
    with pytest.raises(DataError, match=r"c\.png is 4x2 pixels, but its image a\.png is 3x2"):
        pictures.read_mask(sample)
