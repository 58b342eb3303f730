"""The contract of a dataset: what it holds and how one image and one mask are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssl_registry.config.folder import DATA_VARIABLE, FolderDatasetConfig
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import Part
from ssl_registry.errors import DatasetNotFoundError

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Download:
    """One file of a release.

    Attributes:
        url: Where it is fetched from.
        file_name: The name it is kept under.
        checksum: `sha256:...` or `md5:...` where the file is stable; empty where it is not.
        size: Bytes, if known: the room it needs is checked beforehand.
        archive: Whether it is an archive (zip or tar) that is unpacked.
    """

    url: str
    file_name: str
    checksum: str = ""
    size: int | None = None
    archive: bool = True


@dataclass(frozen=True)
class Release:
    """The official release of a dataset: how to get it, and what it holds.

    Attributes:
        version: Date, number or commit of the release.
        downloads: What can be fetched without a login; unpacked into one folder, the dataset's
            root.
        by_hand: What a person has to do where the site needs a login or a click.
        totals: What `data verify` counts and must find: `images`, `masks`, `groups`, and
            `label/NAME` or `split/PART` for the images of one label or official part.
    """

    version: str
    downloads: tuple[Download, ...] = ()
    by_hand: str = ""
    totals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset is, for people and for the weights made from it.

    Attributes:
        organ: Such as `breast`; `mixed` where samples say it in their `meta`.
        modality: Such as `ultrasound` or `natural image`.
        licence: Licence of the data, with its SPDX name where it has one.
        citation: How to cite the data.
        source: Address of the official release.
        channels: 1 for gray images (colour overlays are reduced to luma), 3 for colour.
        classes: Names of the mask values 1, 2, ...; empty if there are no masks.
        exclusive: Whether a pixel belongs to at most one class.
        lesion_free_label: The `Sample.label` of images that show no lesion, if there is one.
        release: The official release, if the dataset reads one.
    """

    organ: str
    modality: str
    licence: str
    citation: str
    source: str
    channels: Literal[1, 3] = 1
    classes: tuple[str, ...] = ()
    exclusive: bool = True
    lesion_free_label: str | None = None
    release: Release | None = None


@dataclass(frozen=True)
class Sample:
    """One image of a dataset.

    Attributes:
        id: Unique in the dataset, stable across machines, without file-system oddities.
        label: Class of the whole image, if known.
        group: Patient, case or recording; samples of one group may be kept together.
        split: The part the official release puts it in, if it does.
        has_mask: Whether `read_mask` gives a mask (which may be empty).
        files: The files it is read from: their names, sizes and times key the cache.
        meta: Further facts, such as organ, view or phase.
    """

    id: str
    label: str | None = None
    group: str | None = None
    split: Part | None = None
    has_mask: bool = False
    files: tuple[Path, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)


class Dataset(ABC):
    """A set of images, built from its config by `Dataset(config)`.

    Reading must be thread-safe: the cache is filled by several threads, or by several processes
    if the dataset can be pickled, whichever is quicker; both must read the same pixels.
    """

    info: DatasetInfo

    def __init__(self, config: DatasetConfig) -> None:
        self.config = config

    @abstractmethod
    def samples(self) -> Sequence[Sample]:
        """All samples in a stable order.

        Raises:
            DatasetNotFoundError: The data are not there; says where it looked and what to do.
            DataError: The folder is there but is not the expected release.
        """

    @abstractmethod
    def read_image(self, sample: Sample) -> Image:
        """Read one image as uint8 `[H, W]` (gray) or `[H, W, 3]` (RGB).

        Raises:
            DataError: It cannot be read; names the file.
        """

    def read_mask(self, sample: Sample) -> Mask | None:
        """Read one mask, of the same height and width as its image; None if there is none.

        uint8 `[H, W]` of class numbers (0 is background) if classes are exclusive, else
        `[K, H, W]` of 0 and 1, one plane per class.

        Raises:
            DataError: It cannot be read; names the file.
        """
        return None

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> DatasetConfig | None:
        """Write a tiny data set in the layout of the release; give the config that reads it.

        `ssl-registry plugins check` and `ssl_registry.testing` check the dataset on it, so that
        nobody needs the real data. About a dozen images of a few pixels each, drawn from `seed`,
        do: enough groups for each part of the split, and masks where the release has them.
        A dataset that needs no files leaves it as it is.

        Args:
            root: An empty folder.
            seed: Another seed gives other pixels, in files of the same names.

        Returns:
            The config, with `root` in it; None if nothing is offered.
        """
        return None

    def data_key(self) -> str:
        """What the pixels depend on besides `Sample.files`; it keys the cache.

        A generated dataset returns its settings and the version of its generator.
        """
        return ""


class FolderDataset(Dataset):
    """A dataset whose files lie in one folder of the user's, named by its config.

    Attributes:
        config: Its config; `root` names the folder.
    """

    config: FolderDatasetConfig

    def __init__(self, config: FolderDatasetConfig) -> None:
        super().__init__(config)

    @property
    def root(self) -> Path:
        """The dataset's folder, which exists.

        Raises:
            DatasetNotFoundError: It is not named, or not there; says how to get the data.
        """
        named = self.config.root
        if named is None:
            raise self.missing("it is not said where the data lie")
        root = named.expanduser()
        if not root.is_dir():
            raise self.missing(f"there is no folder {root.absolute()}")
        return root

    def missing(self, what: str) -> DatasetNotFoundError:
        """The error that says `what` is missing, and how to get the data."""
        name = self.config.name
        release = self.info.release
        if release is not None and release.downloads:
            get = f"fetch them with `ssl-registry data download {name}`"
        elif release is not None and release.by_hand:
            get = release.by_hand
        else:
            get = f"get them from {self.info.source}" if self.info.source else "get them"
        return DatasetNotFoundError(
            f"dataset {name!r}: {what}; {get}, then set `root` to their folder, or the "
            f"environment variable {DATA_VARIABLE} to the folder that holds a folder "
            f"{name.rpartition('/')[2]!r}"
        )
