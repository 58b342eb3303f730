"""The method's loss on held-out images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.data.pool import ImagePool
from ssl_registry.errors import DataError
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.training.randomness import derived_seed, seed_torch
from ssl_registry.training.undisturbed import undisturbed

Forward = Callable[[Tensor, Tensor, Mapping[str, Tensor]], StepOutput]
"""From stored images, their ids and metadata codes to what the method gives."""

HELD_OUT: Final = "val"


class ValidationLoss:
    """The mean loss over a few batches of held-out images, always the same views of the same ones.

    The method is in eval mode: normalisation uses the running statistics, and a queue or teacher
    stays as it is. The loss is thereby that of the network as it will be used, an image's outputs
    do not depend on the others of its batch, small validation parts serve as well as large ones,
    and no method needs to know that it is being validated. The price is that it is not on the
    scale of the training loss where that profits from batch statistics: compare it over time.

    A contrastive loss depends on the batch size too. Batches are those of training, or smaller
    if there are fewer images; the log says how many images they have.
    """

    def __init__(self, held_out: ImagePool, training: ImagePool, batch_size: int, seed: int):
        self.batch_size = min(batch_size, len(held_out))
        self._pool, self._seed = held_out, seed
        # Ids beyond those of training: a method must not take these for images it has seen.
        self._first_id = len(training)
        self._codes = _codes(held_out, training)

    @classmethod
    def of(cls, training: ImagePool, batch_size: int, seed: int) -> ValidationLoss | str:
        """That of the held-out part of the datasets trained on, or why there is none."""
        try:
            held_out = ImagePool(training.members, (HELD_OUT,))
        except DataError as error:
            return str(error)
        if len(held_out) < 2:
            return f"the part {HELD_OUT} has a single image; two are needed to compare"
        return cls(held_out, training, batch_size, seed)

    def batches(self, limit: int) -> list[NDArray[np.int64]]:
        """Places of the images of up to `limit` full batches, in an order that never changes."""
        generator = np.random.default_rng(derived_seed(self._seed, "validation order"))
        order = generator.permutation(len(self._pool)).astype(np.int64)
        count = min(limit, len(order) // self.batch_size)
        return np.split(order[: count * self.batch_size], count)

    def measure(self, method: nn.Module, forward: Forward, limit: int) -> dict[str, float]:
        """The loss; training goes on afterwards as if nothing had been measured.

        Args:
            method: What is measured; its modes and buffers are put back.
            forward: A step of it without gradient or update.
            limit: Batches to use, at most.
        """
        with undisturbed(method):
            losses = [
                self._loss(n, places, forward) for n, places in enumerate(self.batches(limit))
            ]
        return {
            "validation/loss": math.fsum(losses) / len(losses),
            "validation/batch_size": self.batch_size,
        }

    def _loss(self, number: int, places: NDArray[np.int64], forward: Forward) -> float:
        seed_torch(self._seed, "validation", number)
        meta = {key: torch.from_numpy(codes[places]) for key, codes in self._codes.items()}
        ids = torch.from_numpy(places + self._first_id)
        return float(forward(self._pool.images(places), ids, meta).loss)


def _codes(held_out: ImagePool, training: ImagePool) -> dict[str, NDArray[np.int64]]:
    """Metadata of the held-out images in the vocabulary of training, -1 where it is not there."""
    everything = np.arange(len(held_out))
    own = held_out.meta(everything)
    unknown = np.full(len(held_out), -1, dtype=np.int64)
    codes = {}
    for key, words in training.vocabulary.items():
        if key not in own:
            codes[key] = unknown
            continue
        places = {word: place for place, word in enumerate(words)}
        # The last entry is for what has no word: -1 stays -1.
        table = [places.get(word, -1) for word in held_out.vocabulary[key]] + [-1]
        codes[key] = np.asarray(table, dtype=np.int64)[own[key].numpy()]
    return codes
