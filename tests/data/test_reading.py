"""What a dataset's reader raises for a file becomes a message that names image and file."""

from __future__ import annotations

import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.model import DatasetConfig
from ssl_registry.data.cache import CacheSettings, open_cache
from ssl_registry.data.load import LoadedData
from ssl_registry.data.reading import read_image, read_mask
from ssl_registry.errors import DataError, PluginError
from ssl_registry.evaluation.predictor import evaluated_images, gallery_items
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Mask, Sample
from ssl_registry.training.testing import load_labelled

ERRORS = [
    OSError("image file is truncated"),
    FileNotFoundError(2, "No such file or directory"),
    SyntaxError("broken PNG file"),
    ValueError("bad value"),
    EOFError(),
    struct.error("unpack requires 4 bytes"),
    zlib.error("Error -3"),
    PillowImage.DecompressionBombError("too large"),
]


class Faulty(Dataset):
    """Two images; reading `second` raises the error, or gives the array, that it is told to."""

    info = DatasetInfo("none", "none", "none", "none", "none", classes=("lesion",))
    outcome: Any = None

    def samples(self) -> list[Sample]:
        return [Sample(name, has_mask=True) for name in ("first", "second")]

    def read_image(self, sample: Sample) -> Image:
        if sample.id == "first":
            return np.ones((20, 20), np.uint8)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        array: Image = self.outcome
        return array

    def read_mask(self, sample: Sample) -> Mask:
        return self.read_image(sample)


def faulty(outcome: Any, skip: bool = False) -> Faulty:
    dataset = Faulty(DatasetConfig(name="faulty", skip_unreadable=skip))
    dataset.outcome = outcome
    return dataset


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_errors_of_the_file_name_image_and_file(
    error: Exception, read: Callable[[Dataset, Sample], Image]
) -> None:
    sample = Sample("second", files=(Path("a/second.png"), Path("a/second_mask.png")))
    with pytest.raises(DataError) as caught:
        read(faulty(error), sample)
    message = str(caught.value)
    assert message.startswith("image 'second' (a/second.png, a/second_mask.png) cannot be read: ")
    assert message.endswith(str(error) or "EOFError")


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(DataError, match=r"^in its own words$"):
        read_image(faulty(DataError("in its own words")), Sample("second"))
    with pytest.raises(KeyError):
        read_image(faulty(KeyError("a mistake of the plugin")), Sample("second"))


def test_arrays_against_the_contract() -> None:
    with pytest.raises(PluginError, match=r"'second' as float64 \[2, 2\]"):
        read_image(faulty(np.zeros((2, 2))), Sample("second"))
    with pytest.raises(DataError, match="'second' has no pixels"):
        read_image(faulty(np.zeros((0, 2), np.uint8)), Sample("second"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_cache_names_or_skips_it(error: Exception) -> None:
    settings = CacheSettings(16, 1, masks=False)
    strict, skipping = faulty(error), faulty(error, skip=True)
    with pytest.raises(DataError, match=r"image 'second'.* cannot be read"):
        open_cache(strict, strict.samples(), settings)
    assert list(open_cache(skipping, skipping.samples(), settings).unreadable) == [1]


@pytest.fixture
def loaded(tiny_busi: Path, finetune_table: dict[str, Any], tmp_path: Path) -> LoadedData:
    """Cached data whose files may be taken away."""
    shutil.copytree(tiny_busi, tmp_path / "busi")
    finetune_table["data"]["root"] = str(tmp_path / "busi")
    return load_labelled(validate(FinetuneConfig, finetune_table, "test"))


@pytest.mark.parametrize("suffix", ["", "_mask"])
def test_files_that_vanish_before_the_evaluation(loaded: LoadedData, suffix: str) -> None:
    file = loaded.samples[3].files[0]
    file.with_stem(file.stem + suffix).unlink()
    predictions = {"arm": {3: np.zeros((1, 32, 32), np.float32)}}
    with pytest.raises(DataError, match=rf"cannot read the image .*{suffix}\.png"):
        gallery_items(loaded, [3], predictions, {}, 0.5)


def test_readers_that_raise_plainly_in_the_evaluation(
    loaded: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(sample: Sample) -> Mask:
        raise FileNotFoundError(2, "No such file or directory", str(sample.files[1]))

    monkeypatch.setattr(loaded.dataset, "read_mask", gone)
    masks = np.zeros((1, 1, 32, 32), np.float32)
    named = re.escape(f"image '{loaded.samples[3].id}' (") + ".*cannot be read"
    with pytest.raises(DataError, match=named):
        list(evaluated_images(loaded, np.array([3]), masks))
    with pytest.raises(DataError, match=named):
        gallery_items(loaded, [3], {"arm": {3: masks[0]}}, {}, 0.5)
