"""kNN of each BUSI image among all but its near-duplicates: `python leave_one_out.py RUN...`.

The 78 validation images leave intervals of 0.08 and more. Here each of the 780 images is
classified once, so the intervals are a third as wide; the labels were never seen in pre-training.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry.config.load import validate
from ssl_registry.config.training import TrainingConfig
from ssl_registry.data.duplicates import dataset_clusters
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.evaluation.bootstrap import ImageScores, class_scores, estimate, mean_scores
from ssl_registry.evaluation.embeddings import Reader
from ssl_registry.evaluation.probe_weights import card_trunk, weights_folder
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.registry import config_model
from ssl_registry.training.device import choose_execution
from ssl_registry.weights.card import read_card
from ssl_registry.weights.read import load_weights

NEIGHBOURS = (1, 5, 20)
TEMPERATURE = 0.1
RANDOM_SEEDS = range(5)


class LeaveOneOut:
    """The images, their labels, and which of them may be each other's neighbours."""

    def __init__(self, data: LoadedData) -> None:
        self.data = data
        names = [str(sample.label) for sample in data.samples]
        self.classes = sorted(set(names))
        self.labels = np.asarray([self.classes.index(name) for name in names])
        clusters = dataset_clusters(data.dataset, data.samples)
        numbers = np.unique([clusters[s.id] for s in data.samples], return_inverse=True)[1]
        self._alike = torch.from_numpy(numbers[:, None] == numbers[None])

    def scores(self, reader: Reader, trunk: Trunk) -> dict[str, ImageScores]:
        """By kind of features and number of neighbours, whether each image is classified rightly.

        Standardised features have mean 0 and standard deviation 1 over the images: behind a ReLU
        and a mean all embeddings point much the same way, and their cosines hardly differ.
        """
        plain = reader.embed(trunk, self.data.cache.images)
        standard = (plain - plain.mean(dim=0)) / plain.std(dim=0).clamp(min=1e-6)
        return {
            f"{kind}, k = {k}": self._score(features, k)
            for kind, features in (("plain", plain), ("standardised", standard))
            for k in NEIGHBOURS
        }

    def pixel_scores(self) -> dict[str, ImageScores]:
        """The same of the gray values themselves, each image standardised."""
        pixels = torch.from_numpy(self.data.cache.images.reshape(len(self.labels), -1)).float()
        pixels = (pixels - pixels.mean(1, keepdim=True)) / pixels.std(1, keepdim=True)
        standard = (pixels - pixels.mean(dim=0)) / pixels.std(dim=0).clamp(min=1e-6)
        return {f"k = {k}": self._score(standard, k) for k in NEIGHBOURS}

    def _score(self, features: Tensor, k: int) -> ImageScores:
        unit = F.normalize(features, dim=1)
        cosine = (unit @ unit.T).masked_fill(self._alike, -torch.inf)
        nearest, places = cosine.topk(k, dim=1)
        labels = torch.from_numpy(self.labels)
        votes = torch.zeros(len(labels), len(self.classes))
        votes.scatter_add_(1, labels[places], (nearest / TEMPERATURE).exp())
        _, balanced = class_scores(votes.argmax(dim=1).numpy() == self.labels, self.labels)
        return balanced


def written(scores: ImageScores) -> str:
    """The score with its 95 % interval."""
    found = estimate(scores, seed=0)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def main(runs: list[Path]) -> None:
    """Print a table, a row per run and number of neighbours."""
    table = {"name": "busi"}
    config = validate(config_model("dataset", "busi"), table, "the table")
    execution = choose_execution(TrainingConfig(precision="fp32"))
    print("| run | features | pre-trained | random weights | difference |")
    print("|---|---|---|---|---|")
    task: LeaveOneOut | None = None
    for run in runs:
        folder = weights_folder(run)
        card = read_card(folder)
        if task is None:
            size = card.image_size
            task = LeaveOneOut(load_data(config, size=size, channels=1, masks=False))
            for name, scores in task.pixel_scores().items():
                print(f"| pixels | {name} | {written(scores)} | | |")
        reader = Reader(Normalize(card.mean, card.std), execution)
        trunk = card_trunk(card, folder, 0)
        load_weights(trunk, folder, "encoder" if trunk.decoder is None else "encoder_decoder")
        own = task.scores(reader, trunk.to(execution.device))
        others = [
            task.scores(reader, card_trunk(card, folder, seed).to(execution.device))
            for seed in RANDOM_SEEDS
        ]
        for name, scores in own.items():
            random = mean_scores([other[name] for other in others])
            cells = [scores, random, scores.minus(random)]
            print(f"| {run.name} | {name} | {' | '.join(map(written, cells))} |", flush=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
