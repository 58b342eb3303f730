"""Each check of a dataset catches the dataset that is wrong in just that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import Field

from ssl_registry import (
    Dataset,
    DatasetInfo,
    FolderDataset,
    FolderDatasetConfig,
    Image,
    Mask,
    Sample,
    SplitConfig,
)

Failures = Callable[..., dict[str, str]]


class LungConfig(FolderDatasetConfig):
    """Settings of a made-up dataset of lungs."""

    name: str = "made_up"
    split: SplitConfig = Field(SplitConfig(group_by="group"), description="How it is divided.")


class Right(FolderDataset):
    """Two pictures of each of ten patients, with masks."""

    info = DatasetInfo(
        organ="lung",
        modality="ultrasound",
        licence="CC0-1.0",
        citation="Made up.",
        source="generated",
        classes=("lesion",),
    )

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> LungConfig:
        generator = np.random.default_rng(seed)
        for patient in range(10):
            for view in range(2):
                pixels = generator.integers(0, 256, (6, 8), dtype=np.uint8)
                PillowImage.fromarray(pixels).save(root / f"p{patient}_{view}.png")
        return LungConfig(root=root)

    def samples(self) -> Sequence[Sample]:
        found = [self.sample(path) for path in sorted(self.root.glob("*.png"))]
        if not found:
            raise self.missing(f"{self.root} holds no png files")
        return found

    def sample(self, path: Path) -> Sample:
        group = path.stem.partition("_")[0]
        return Sample(path.stem, group=group, has_mask=True, files=(path,))

    def read_image(self, sample: Sample) -> Image:
        return np.asarray(PillowImage.open(sample.files[0]))

    def read_mask(self, sample: Sample) -> Mask | None:
        return np.pad(np.ones((2, 2), np.uint8), ((2, 2), (3, 3)))


class NoSample(Right):
    write_sample = Dataset.write_sample  # type: ignore[assignment]


class LosesFiles(Right):
    def sample(self, path: Path) -> Sample:
        return replace(super().sample(path), files=(path, path.with_suffix(".txt")))


class Unreadable(Right):
    def read_image(self, sample: Sample) -> Image:
        return np.load(sample.files[0])  # type: ignore[no-any-return]


class SameIds(Right):
    def sample(self, path: Path) -> Sample:
        return replace(super().sample(path), id=path.stem.partition("_")[0])


class AbsoluteIds(Right):
    def sample(self, path: Path) -> Sample:
        return replace(super().sample(path), id=str(path))


class UnsortedIds(Right):
    calls = 0

    def samples(self) -> Sequence[Sample]:
        type(self).calls += 1
        found = list(super().samples())
        return found[self.calls :] + found[: self.calls]


class TornGroups(Right):
    @classmethod
    def write_sample(cls, root: Path, seed: int) -> LungConfig:
        super().write_sample(root, seed)
        return LungConfig(root=root, split=SplitConfig(kind="random"))


class TooFew(Right):
    def samples(self) -> Sequence[Sample]:
        return super().samples()[:4]


class FloatImages(Right):
    def read_image(self, sample: Sample) -> Image:
        return super().read_image(sample) / np.float32(255)  # type: ignore[return-value]


class DarkImages(Right):
    def read_image(self, sample: Sample) -> Image:
        return super().read_image(sample) // 255


class UndeclaredColour(Right):
    def read_image(self, sample: Sample) -> Image:
        return np.stack([super().read_image(sample)] * 3, axis=-1)


class OtherEveryTime(Right):
    def read_image(self, sample: Sample) -> Image:
        return np.random.default_rng().integers(0, 256, (6, 8), dtype=np.uint8)


class StoredValues(Right):
    def read_mask(self, sample: Sample) -> Mask | None:
        return np.full((6, 8), 255, np.uint8)


class OtherSize(Right):
    def read_mask(self, sample: Sample) -> Mask | None:
        return np.ones((8, 6), np.uint8)


class UnmentionedMask(Right):
    def sample(self, path: Path) -> Sample:
        return replace(super().sample(path), has_mask=False)


class ClassNeverShown(Right):
    info = replace(Right.info, classes=("lesion", "cyst"))


class NoLicence(Right):
    info = replace(Right.info, licence="unknown", citation="")


class SilentlyEmpty(Right):
    def samples(self) -> Sequence[Sample]:
        return [self.sample(path) for path in sorted(self.config.root.glob("*.png"))]  # type: ignore[union-attr]


class VagueError(Right):
    def samples(self) -> Sequence[Sample]:
        try:
            return super().samples()
        except Exception as error:
            raise self.missing("no data").with_traceback(None) from error


def test_a_right_dataset_passes(failures: Failures) -> None:
    assert failures("dataset", Right, LungConfig) == {}


@pytest.mark.parametrize(
    ("dataset", "check", "told"),
    [
        (NoSample, "generated_sample", "define the classmethod `write_sample"),
        (LosesFiles, "generated_sample", "p0_0.txt"),
        (Unreadable, "generated_sample", "cannot be read"),
        (SameIds, "ids", "several times: p0"),
        (AbsoluteIds, "ids", "in another folder"),
        (UnsortedIds, "ids", "in another order"),
        (TornGroups, "groups", "tears groups apart"),
        (TooFew, "groups", "leaves"),
        (FloatImages, "images", "float32"),
        (DarkImages, "images", "no image is brighter than 1"),
        (UndeclaredColour, "images", "[6, 8, 3]"),
        (OtherEveryTime, "images", "an image is another"),
        (StoredValues, "masks", "values beyond its 1 classes"),
        (OtherSize, "masks", "6x8"),
        (UnmentionedMask, "masks", "its has_mask is False"),
        (ClassNeverShown, "masks", "no mask of the sample shows the class cyst"),
        (NoLicence, "information", "licence, citation"),
        (SilentlyEmpty, "missing_data", "samples() raises nothing"),
        (VagueError, "missing_data", "does not name it"),
    ],
)
def test_a_wrong_dataset_is_caught(
    failures: Failures, dataset: type[Dataset], check: str, told: str
) -> None:
    found = failures("dataset", dataset, LungConfig)
    assert check in found
    assert told in found[check]


def test_that_there_is_no_sample_is_said_alike_by_all_checks(failures: Failures) -> None:
    found = failures("dataset", NoSample, LungConfig)
    assert len(found) > 3
    assert len(set(found.values())) == 1


def test_a_dataset_that_needs_no_files_needs_no_sample(failures: Failures) -> None:
    class Generated(Dataset):
        info = replace(Right.info, classes=())

        def samples(self) -> Sequence[Sample]:
            return [Sample(str(number)) for number in range(10)]

        def read_image(self, sample: Sample) -> Image:
            return np.full((4, 4), 20 * int(sample.id), np.uint8)

    assert failures("dataset", Generated) == {}


def test_nothing_is_left_behind(
    failures: Failures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written: list[Any] = []

    class Watched(Right):
        @classmethod
        def write_sample(cls, root: Path, seed: int) -> LungConfig:
            written.append(root)
            return super().write_sample(root, seed)

    assert failures("dataset", Watched, LungConfig) == {}
    gc.collect()
    assert written
    assert all(root.is_relative_to(tmp_path) for root in written)
    assert not any(root.exists() for root in written)
