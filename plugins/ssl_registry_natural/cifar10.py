"""CIFAR-10 from its binary release.

Format: `cifar-10-batches-bin/` with `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` and
`batches.meta.txt` (the class names). A batch is a sequence of records without any header: one
byte for the class (0 to 9), then 3,072 bytes for the pixels, 32 rows of 32 px for red, for green
and for blue. The python release holds the same images as pickles, which run code when they are
loaded; it is not read.

Citation: A. Krizhevsky, Learning multiple layers of features from tiny images, technical report,
University of Toronto, 2009.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry import (
    DataError,
    DatasetInfo,
    Download,
    FolderDataset,
    Image,
    Release,
    Sample,
)
from ssl_registry_natural.config import Cifar10Config

SIDE: Final = 32
PIXELS: Final = 3 * SIDE * SIDE
RECORD: Final = 1 + PIXELS
"""Bytes of one image with its class."""


class Cifar10Dataset(FolderDataset):
    """60,000 colour images of 32x32 px in ten classes.

    A sample's id is its part and its place there, such as `train/00000`; its label is its class.
    An image is read from its place in the batch file, which is opened for that moment only: any
    number of threads may read, and a file that is cut short meanwhile is an error, not a crash.
    """

    release_folder: ClassVar[str] = "cifar-10-batches-bin"
    python_folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[str] = "cifar-10-binary.tar.gz"
    batches: ClassVar[dict[str, tuple[str, ...]]] = {
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    }
    labels: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    info = DatasetInfo(
        organ="none",
        modality="natural image",
        licence="none stated; for research, citing the technical report",
        citation=(
            "A. Krizhevsky. Learning multiple layers of features from tiny images. Technical "
            "report, University of Toronto, 2009. "
            "https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf"
        ),
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        channels=3,
        release=Release(
            version="binary, 2009",
            downloads=(
                Download(
                    url=f"https://www.cs.toronto.edu/~kriz/{archive}",
                    file_name=archive,
                    checksum="md5:c32a1d4ab5d03f1284b67883e8d87530",
                    size=170_052_171,
                ),
            ),
            totals={
                "images": 60_000,
                "split/train": 50_000,
                "split/test": 10_000,
                **{f"label/{label}": 6_000 for label in labels},
            },
        ),
    )

    def __init__(self, config: Cifar10Config) -> None:
        super().__init__(config)
        self._test_part = config.test_as
        release = self.info.release
        if config.test_as != "test" and release is not None:
            totals = {
                key.replace("split/test", f"split/{config.test_as}"): total
                for key, total in release.totals.items()
            }
            self.info = replace(self.info, release=replace(release, totals=totals))

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> Cifar10Config:
        """Write a tiny release of generated pictures."""
        from ssl_registry_natural.sample import write_cifar10

        return write_cifar10(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All images, training before test, in the order of the release.

        Raises:
            DatasetNotFoundError: There is no such folder, or it lacks a batch file; says so if
                it is the python release.
            DataError: A batch file is cut short, or is not of this release.
        """
        folder = self._folder()
        self._check_names(folder)
        return [*self._of_part("train"), *self._of_part("test")]

    def read_image(self, sample: Sample) -> Image:
        """RGB, uint8 `[32, 32, 3]`.

        Raises:
            DataError: The batch file is gone or cut short.
        """
        path = sample.files[0]
        place = int(sample.id.rpartition("/")[2]) - self._starts[path.name]
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(place * RECORD + 1)
                pixels = file.read(PIXELS)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        if len(pixels) != PIXELS:
            raise DataError(f"{path} ends before image {sample.id!r}; copy it again")
        planes = np.frombuffer(pixels, np.uint8).reshape(3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))

    @cached_property
    def _starts(self) -> dict[str, int]:
        """The number of the first image of each batch file within its part."""
        folder = self._folder()
        starts: dict[str, int] = {}
        for names in self.batches.values():
            number = 0
            for name in names:
                starts[name] = number
                number += _count(folder / name)
        return starts

    def _of_part(self, part: str) -> Iterator[Sample]:
        folder = self._folder()
        split = "train" if part == "train" else self._test_part
        for name in self.batches[part]:
            path = folder / name
            for place, label in enumerate(_labels(path).tolist(), start=self._starts[name]):
                if label >= len(self.labels):
                    raise DataError(
                        f"{path}: image {place - self._starts[name]} is of class {label}, but "
                        f"the classes are 0 to {len(self.labels) - 1}; it is not a batch of the "
                        f"binary release {self.archive}, or is damaged"
                    )
                yield Sample(
                    id=f"{part}/{place:05d}",
                    label=self.labels[label],
                    split=split,
                    files=(path,),
                )

    def _folder(self) -> Path:
        """The folder that holds all batch files."""
        root = self.root
        names = [name for part in self.batches.values() for name in part]
        for folder in (root, root / self.release_folder):
            lacking = [name for name in names if not (folder / name).is_file()]
            if not lacking:
                return folder
            if len(lacking) < len(names):
                raise self.missing(f"{folder.absolute()} lacks {', '.join(lacking)}")
        raise self.missing(self._what_is_there(root))

    def _what_is_there(self, root: Path) -> str:
        if (root / self.archive).is_file():
            return f"{root.absolute() / self.archive} is not unpacked (tar xzf does that)"
        if (root / self.python_folder).is_dir() or (root / "data_batch_1").is_file():
            return (
                f"{root.absolute()} holds the python release, whose files are pickles, which run "
                f"code when they are loaded; what is needed is the binary release {self.archive}"
            )
        return (
            f"neither {root.absolute()} nor its {self.release_folder} holds data_batch_1.bin to "
            "data_batch_5.bin and test_batch.bin"
        )

    def _check_names(self, folder: Path) -> None:
        """Stop at a release whose classes are others, such as CIFAR-100."""
        path = folder / "batches.meta.txt"
        if path.is_file():
            names = tuple(path.read_text(encoding="utf-8", errors="replace").split())
            if names != self.labels:
                raise DataError(
                    f"{path} names the classes {', '.join(names) or 'not at all'}, but those of "
                    f"CIFAR-10 are {', '.join(self.labels)}; fetch {self.archive} again"
                )


def _count(path: Path) -> int:
    """Images in a batch file, from its size."""
    size = path.stat().st_size
    if size == 0 or size % RECORD:
        raise DataError(
            f"{path} has {size} bytes, which is not a whole number of records of {RECORD} bytes; "
            "it was cut short, so fetch it again"
        )
    return size // RECORD


def _labels(path: Path) -> NDArray[np.uint8]:
    """The class of each image in a batch file, uint8 `[N]`."""
    size = _count(path) * RECORD
    try:
        # Not memory-mapped: a file that is cut short meanwhile would kill the process.
        return np.fromfile(path, np.uint8, size)[::RECORD].copy()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
