"""Images of several datasets as one: gathered by index, a whole batch at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.build import build_dataset
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.pretrain import Mixing
from ssl_registry.config.split import Part
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.data.mixing import Share, epoch_shares
from ssl_registry.data.streaming import reads_ahead
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset

MIXED = "mixed"
"""The `DatasetInfo.organ` of a dataset whose samples say theirs in `meta`."""


class ImagePool:
    """The chosen parts of several datasets, end to end.

    Attributes:
        members: The datasets.
        sizes: Images of each of them.
        vocabulary: For each key of `Sample.meta`, and for `dataset` and `organ`, its values in
            order. A sample that does not say its organ has that of its dataset.
    """

    def __init__(self, members: Sequence[LoadedData], parts: Sequence[Part]) -> None:
        self.members = tuple(members)
        chosen = [member.places(parts) for member in self.members]
        self.sizes = tuple(len(places) for places in chosen)
        self._member = np.repeat(np.arange(len(chosen)), self.sizes)
        self._place = np.concatenate(chosen)
        if not len(self._place):
            raise DataError(f"no images in {' and '.join(parts)} of {', '.join(self._names())}")
        self._ahead = reads_ahead([member.cache.images for member in self.members])
        self.vocabulary, self._meta = self._read_meta(chosen)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        channels, height, width = self.members[0].cache.images.shape[1:]
        return channels, height, width

    @property
    def bytes(self) -> int:
        """What all images take."""
        return len(self) * math.prod(self.shape)

    def _names(self) -> list[str]:
        return [member.dataset.config.name for member in self.members]

    def shares(self, mixing: Mixing) -> tuple[Share, ...]:
        """How much of an epoch each dataset gets; see `epoch_shares`.

        Raises:
            ConfigError: The weight of a dataset is too small.
        """
        weights = [member.dataset.config.weight for member in self.members]
        return epoch_shares(mixing, self.sizes, weights, self._names())

    def _read_meta(
        self, chosen: Sequence[NDArray[np.int64]]
    ) -> tuple[dict[str, tuple[str, ...]], dict[str, NDArray[np.int64]]]:
        rows = [
            [member.samples[place].meta for place in places.tolist()]
            for member, places in zip(self.members, chosen, strict=True)
        ]
        common = [
            _common_meta(member.dataset) if of_member else {}
            for member, of_member in zip(self.members, rows, strict=True)
        ]
        keys = {key for known in common for key in known}
        keys.update(key for of_member in rows for row in of_member for key in row)
        vocabulary, codes = {}, {}
        for key in sorted(keys):
            words = [
                row.get(key, known.get(key))
                for known, of_member in zip(common, rows, strict=True)
                for row in of_member
            ]
            vocabulary[key] = tuple(sorted({word for word in words if word is not None}))
            code_of: dict[str | None, int] = {w: code for code, w in enumerate(vocabulary[key])}
            code_of[None] = -1
            codes[key] = np.asarray([code_of[word] for word in words], dtype=np.int64)
        return vocabulary, codes

    def images(self, indices: NDArray[np.int64]) -> Tensor:
        """The images at `indices` as uint8 `[B, C, size, size]`, in the caller's own memory."""
        self.expect(indices)
        first = self.members[0].cache.images
        if len(self.members) == 1:
            return torch.from_numpy(first[self._place[indices]])
        batch = np.empty((len(indices), *first.shape[1:]), dtype=np.uint8)
        for number, member in enumerate(self.members):
            here = self._member[indices] == number
            batch[here] = member.cache.images[self._place[indices[here]]]
        return torch.from_numpy(batch)

    def expect(self, indices: NDArray[np.int64]) -> None:
        """Have the images at `indices` read from the disk, if memory does not hold them all."""
        for number, ahead in enumerate(self._ahead):
            ahead.rows(self._place[indices[self._member[indices] == number]])

    def meta(self, indices: NDArray[np.int64]) -> Mapping[str, Tensor]:
        """Per metadata key, int64 places in the vocabulary, -1 where unknown."""
        return {key: torch.from_numpy(codes[indices]) for key, codes in self._meta.items()}


def _common_meta(dataset: Dataset) -> dict[str, str]:
    """What holds for all samples of a dataset that do not say otherwise."""
    meta = {"dataset": dataset.config.name}
    if dataset.info.organ != MIXED:
        meta["organ"] = dataset.info.organ
    return meta


def load_pool(
    configs: Sequence[DatasetConfig], parts: Sequence[Part], *, size: int, channels: int
) -> ImagePool:
    """Load datasets for pre-training; stored in one channel if that is all there is to see."""
    stored = stored_channels(configs, channels)
    members = [load_data(config, size=size, channels=stored, masks=False) for config in configs]
    return ImagePool(members, parts)


def stored_channels(configs: Sequence[DatasetConfig], channels: int) -> Literal[1, 3]:
    """1 if the network sees gray or every dataset is gray, else 3."""
    gray = all(build_dataset(config).info.channels == 1 for config in configs)
    return 1 if channels == 1 or gray else 3
