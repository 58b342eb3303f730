"""mini-ImageNet from a tree of jpg files with CSV lists.

Format: `train.csv`, `val.csv` and `test.csv` with the columns `filename,label`, and `images/` with
the files they name, either all in one folder or in one folder per label (`images/<label>/`).
The archives in common use hold pickles, which run code when they are loaded; they are not read.

Citation: O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra, Matching networks
for one shot learning, NeurIPS 2016; the lists are those of S. Ravi, H. Larochelle, Optimization as
a model for few-shot learning, ICLR 2017.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal

from ssl_registry import (
    DataError,
    DatasetInfo,
    FolderDataset,
    Image,
    Release,
    Sample,
    read_rgb,
)
from ssl_registry_natural.config import MiniImageNetConfig

Part = Literal["train", "val", "test"]


@dataclass(frozen=True)
class _Entry:
    """One line of a list."""

    file: str
    label: str
    where: str


class MiniImageNetDataset(FolderDataset):
    """60,000 colour images, 600 of each of 100 classes of ImageNet.

    A sample's id is its label and its file name without the suffix, such as
    `n01532829/n0153282900000005`; its label is the WordNet id of its class.
    """

    parts_of: ClassVar[Mapping[str, Mapping[str, Part]]] = {
        "official": {"train": "train", "val": "val", "test": "test"},
        "study": {"train": "train", "val": "train", "test": "val"},
    }
    sizes: ClassVar[Mapping[str, int]] = {"train": 38_400, "val": 9_600, "test": 12_000}

    info = DatasetInfo(
        organ="none",
        modality="natural image",
        licence="ImageNet terms of access: non-commercial research and education",
        citation=(
            "O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra. Matching networks "
            "for one shot learning. NeurIPS 2016. https://arxiv.org/abs/1606.04080. Lists: S. "
            "Ravi, H. Larochelle. Optimization as a model for few-shot learning. ICLR 2017. "
            "https://openreview.net/forum?id=rJY0-Kcll"
        ),
        source="https://github.com/twitter-research/meta-learning-lstm",
        channels=3,
        release=Release(
            version="lists of Ravi and Larochelle, 2017",
            by_hand=(
                "make them from the ILSVRC-2012 training images, which image-net.org gives to "
                "whoever accepts its terms (https://github.com/yaoyao-liu/mini-imagenet-tools "
                "does that and has the three lists), so that train.csv, val.csv and test.csv "
                "lie beside a folder images of jpg files; archives of .pkl or .pickle files are "
                "not read, because loading them runs code that they may hold"
            ),
            totals={"images": 60_000},
        ),
    )

    def __init__(self, config: MiniImageNetConfig) -> None:
        super().__init__(config)
        self._skip_unreadable = config.skip_unreadable
        self._part_of = self.parts_of[config.partition]
        if self.info.release is not None:
            totals = dict(self.info.release.totals)
            for name, part in self._part_of.items():
                totals[f"split/{part}"] = totals.get(f"split/{part}", 0) + self.sizes[name]
            self.info = replace(self.info, release=replace(self.info.release, totals=totals))

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> MiniImageNetConfig:
        """Write a tiny release of generated pictures."""
        from ssl_registry_natural.sample import write_mini_imagenet

        return write_mini_imagenet(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All images in the order of the lists train, val, test.

        Raises:
            DatasetNotFoundError: There is no such folder, or it lacks a list or its images.
            DataError: A list is damaged, names a file twice, or names one that is not there
                (unless `skip_unreadable`).
        """
        folder = self._folder()
        images = folder / "images"
        there = _files_below(images)
        found: dict[str, Sample] = {}
        lacking: list[_Entry] = []
        for name, part in self._part_of.items():
            for entry in _entries(folder / f"{name}.csv"):
                file = next(
                    (file for file in (entry.file, f"{entry.label}/{entry.file}") if file in there),
                    None,
                )
                if file is None:
                    lacking.append(entry)
                    continue
                sample = Sample(
                    id=f"{entry.label}/{PurePosixPath(entry.file).stem}",
                    label=entry.label,
                    split=part,
                    files=(images / file,),
                )
                if sample.id in found:
                    raise DataError(f"{entry.where}: {entry.file} is listed a second time")
                found[sample.id] = sample
        self._check_all_there(images, lacking)
        if not found:
            raise self.missing(f"the lists in {folder} name no image of {images}")
        return list(found.values())

    def read_image(self, sample: Sample) -> Image:
        """RGB, uint8 `[H, W, 3]`."""
        return read_rgb(sample.files[0])

    def _folder(self) -> Path:
        """The folder that holds the three lists and the images."""
        root = self.root
        below = sorted(path for path in root.iterdir() if path.is_dir())
        for folder in (root, *below):
            if (folder / "train.csv").is_file():
                break
        else:
            pickles = sorted({*root.rglob("*.pkl"), *root.rglob("*.pickle")})
            such = (
                f", only pickles such as {pickles[0].name}, which are not read" if pickles else ""
            )
            raise self.missing(
                f"neither {root.absolute()} nor a folder in it has a train.csv{such}"
            )
        for name in ("val.csv", "test.csv"):
            if not (folder / name).is_file():
                raise self.missing(f"{folder.absolute()} lacks the list {name}")
        if not (folder / "images").is_dir():
            raise self.missing(f"{folder.absolute()} lacks the folder images")
        return folder

    def _check_all_there(self, images: Path, lacking: Sequence[_Entry]) -> None:
        if lacking and not self._skip_unreadable:
            raise DataError(
                f"{len(lacking)} listed images are not in {images}, the first being "
                f"{lacking[0].file} ({lacking[0].where}); copy the images again, or set "
                "skip_unreadable = true to go on without them"
            )


def _files_below(folder: Path) -> set[str]:
    """Names of the files in `folder`, and `name/file` for those in its folders."""
    found: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                with os.scandir(entry.path) as files:
                    found.update(f"{entry.name}/{file.name}" for file in files)
            else:
                found.add(entry.name)
    return found


def _entries(path: Path) -> Iterator[_Entry]:
    """The lines of a list.

    Raises:
        DataError: It is not a CSV with the columns `filename` and `label`; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [column.strip() for column in reader.fieldnames or ()]
            if not {"filename", "label"} <= set(columns):
                raise DataError(
                    f"the list {path} needs the columns filename and label; its first line has "
                    f"{', '.join(columns) or 'none'}"
                )
            reader.fieldnames = columns
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                name, label = ((row[key] or "").strip() for key in ("filename", "label"))
                if not name or not label:
                    raise DataError(f"{where}: it lacks its filename or its label")
                yield _Entry(name, label, where)
    except OSError as error:
        raise DataError(f"cannot read the list {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the list {path} is not a CSV in UTF-8: {error}") from error
