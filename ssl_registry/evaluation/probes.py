"""Probes made ready: data loaded and checked, so that scoring a trunk cannot fail on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.config.probes import (
    AnyProbeConfig,
    KnnProbeConfig,
    LinearProbeConfig,
    ProbeConfig,
)
from ssl_registry.config.split import Part
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.data.pool import stored_channels
from ssl_registry.errors import DataError
from ssl_registry.evaluation.bootstrap import ImageScores, class_scores
from ssl_registry.evaluation.embeddings import Reader
from ssl_registry.evaluation.knn import knn_predict
from ssl_registry.evaluation.linear_probe import LogisticRegression
from ssl_registry.nn.trunk import Trunk


@dataclass(frozen=True)
class ProbeInput:
    """How a probe shows images to the network.

    Attributes:
        image_size: Side of the images, px.
        channels: Channels the network takes.
        gray: Whether images are reduced to luma first.
        reader: Normalises them and runs the network.
        seed: Seed of whatever the probe draws.
    """

    image_size: int
    channels: int
    gray: bool
    reader: Reader
    seed: int


class Probe(ABC):
    """A simple evaluation of a frozen trunk on labelled images.

    Attributes:
        title: What its scores are called by.
        chance: The score without any features, where there is one.
        facts: What it was measured on, for report and card.
    """

    main_score: str

    def __init__(self, config: ProbeConfig, given: ProbeInput, *, masks: bool) -> None:
        self.config, self.title, self._given = config, config.title, given
        self.chance: Mapping[str, float] = {}
        stored = 1 if given.gray else stored_channels([config.data], given.channels)
        self.data = load_data(config.data, size=given.image_size, channels=stored, masks=masks)

    @abstractmethod
    def measure(self, trunk: Trunk) -> dict[str, ImageScores]:
        """Scores of the trunk by name; it is as before afterwards, and so are torch's generators.

        The scores of two trunks are about the same images in the same order.
        """

    @property
    @abstractmethod
    def facts(self) -> dict[str, object]:
        """What it is measured on: images, classes."""

    def _wrong(self, what: str) -> DataError:
        return DataError(f"probe {self.title!r} on dataset {self.config.data.name!r}: {what}")

    def _embed(self, trunk: Trunk, places: NDArray[np.int64]) -> Tensor:
        return self._given.reader.embed(trunk, self.data.cache.images[places])


class ClassificationProbe(Probe):
    """A probe that classifies images by their label."""

    main_score = "balanced_accuracy"

    def __init__(self, config: ProbeConfig, given: ProbeInput) -> None:
        super().__init__(config, given, masks=False)
        self._train = labelled_places(self.data, "train")
        self._scored = labelled_places(self.data, config.part)
        self._check()
        self.classes = tuple(sorted(set(self._labels(self._train)) | set(self._truth_labels())))
        self._train_labels = self._numbers(self._labels(self._train))
        self._truth = self._numbers(self._truth_labels())
        counts = np.bincount(self._truth)
        self.chance = {
            "balanced_accuracy": 1 / int((counts > 0).sum()),
            "accuracy": float(counts.max() / counts.sum()),
        }

    @abstractmethod
    def predict(self, embeddings: Tensor, bank: Tensor, labels: Tensor) -> Tensor:
        """Classes int64 `[N]` of `embeddings` `[N, D]`, learnt from `bank` and its `labels`."""

    def measure(self, trunk: Trunk) -> dict[str, ImageScores]:
        """Accuracy and balanced accuracy."""
        bank, embeddings = self._embed(trunk, self._train), self._embed(trunk, self._scored)
        predicted = self.predict(embeddings, bank, torch.from_numpy(self._train_labels))
        accuracy, balanced = class_scores(predicted.numpy() == self._truth, self._truth)
        return {"balanced_accuracy": balanced, "accuracy": accuracy}

    @property
    def facts(self) -> dict[str, object]:
        """Images and classes."""
        return {
            "train_images": len(self._train),
            "part": self.config.part,
            "images": len(self._scored),
            "classes": list(self.classes),
        }

    def _check(self) -> None:
        for part, places in (("train", self._train), (self.config.part, self._scored)):
            if not len(places):
                raise self._wrong(
                    f"no image of the part {part} has a label; name a dataset with labels, or "
                    "give its split such a part"
                )
        found = sorted(set(self._labels(self._train)))
        if len(found) < 2:
            raise self._wrong(
                f"all training images have the label {found[0]!r}; a probe needs two classes"
            )

    def _labels(self, places: NDArray[np.int64]) -> list[str]:
        return [self.data.samples[place].label or "" for place in places]

    def _truth_labels(self) -> list[str]:
        return self._labels(self._scored)

    def _numbers(self, labels: list[str]) -> NDArray[np.int64]:
        numbers = {label: number for number, label in enumerate(self.classes)}
        return np.asarray([numbers[label] for label in labels], dtype=np.int64)


class KnnProbe(ClassificationProbe):
    """Nearest neighbours by cosine."""

    config: KnnProbeConfig

    def _check(self) -> None:
        super()._check()
        if len(self._train) < self.config.k:
            raise self._wrong(
                f"k = {self.config.k} is more than its {len(self._train)} training images; "
                "set k to fewer"
            )

    def predict(self, embeddings: Tensor, bank: Tensor, labels: Tensor) -> Tensor:
        """The class of most votes."""
        classes, k = len(self.classes), self.config.k
        return knn_predict(embeddings, bank, labels, classes, k, self.config.temperature)


class LinearProbe(ClassificationProbe):
    """Logistic regression."""

    config: LinearProbeConfig

    def _check(self) -> None:
        super()._check()
        labels = self._labels(self._train)
        rarest = min(set(labels), key=labels.count)
        if labels.count(rarest) < self.config.folds:
            raise self._wrong(
                f"label {rarest!r} has {labels.count(rarest)} training images, too few for "
                f"{self.config.folds} folds of cross-validation; set folds to fewer"
            )

    def predict(self, embeddings: Tensor, bank: Tensor, labels: Tensor) -> Tensor:
        """The most probable class."""
        features = bank.double().numpy()
        model = LogisticRegression.chosen(
            features,
            labels.numpy(),
            len(self.classes),
            self.config.penalties,
            self.config.folds,
            self._given.seed,
        )
        return torch.from_numpy(model.predict(embeddings.double().numpy()))


def labelled_places(data: LoadedData, part: Part) -> NDArray[np.int64]:
    """Places of the samples of a part that have a label."""
    places = [place for place in data.places([part]) if data.samples[place].label is not None]
    return np.asarray(places, dtype=np.int64)


def load_probe(config: AnyProbeConfig, given: ProbeInput) -> Probe:
    """Load and check the data of a probe.

    Raises:
        DataError: The data are not there, or lack labels, masks, classes or images; says which.
    """
    if isinstance(config, KnnProbeConfig):
        return KnnProbe(config, given)
    if isinstance(config, LinearProbeConfig):
        return LinearProbe(config, given)
    from ssl_registry.evaluation.segmentation_probe import SegmentationProbe

    return SegmentationProbe(config, given)
