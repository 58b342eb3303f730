"""Randomness as a pure function of seed, purpose, step and rank.

Nothing here keeps a state, so a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_registry.data.mixing import Share, epoch_length


def derived_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A 63-bit seed for one purpose, such as `("augment", step, rank)`.

    A purpose always comes with equally many numbers: trailing zeros make no difference.
    """
    entropy = [seed, zlib.crc32(purpose.encode()), *numbers]
    words = np.random.SeedSequence(entropy).generate_state(2, np.uint32)
    return (int(words[0]) << 31) | (int(words[1]) >> 1)


def seed_torch(seed: int, purpose: str, *numbers: int) -> None:
    """Set torch's global generators, which kornia and dropout draw from."""
    torch.manual_seed(derived_seed(seed, purpose, *numbers))


@functools.lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which `count` images are visited in an epoch."""
    generator = np.random.default_rng(derived_seed(seed, "order", epoch))
    return generator.permutation(count)


@functools.lru_cache(maxsize=2)
def mixed_order(seed: int, epoch: int, shares: tuple[Share, ...]) -> NDArray[np.int64]:
    """The order in which an epoch visits the images of several datasets, numbered on end.

    The datasets' turns are shuffled. In its turns a dataset shows all its images in a random
    order, then all in another one, as often as its share says, and then what is drawn or due.
    """
    if all(share == Share(share.images, rounds=1) for share in shares):
        return epoch_order(seed, epoch, epoch_length(shares))
    turns = np.repeat(np.arange(len(shares)), [share.shown for share in shares])
    np.random.default_rng(derived_seed(seed, "turns", epoch)).shuffle(turns)
    order = np.empty(len(turns), dtype=np.int64)
    first = 0
    for number, share in enumerate(shares):
        order[turns == number] = first + _shown(seed, epoch, number, share)
        first += share.images
    return order


def _shown(seed: int, epoch: int, number: int, share: Share) -> NDArray[np.int64]:
    """The images of dataset `number` that an epoch shows, in order."""

    def shuffled(purpose: str, turn: int) -> NDArray[np.int64]:
        generator = np.random.default_rng(derived_seed(seed, purpose, number, turn))
        return generator.permutation(share.images)

    shown = [shuffled("rounds", epoch * share.rounds + turn) for turn in range(share.rounds)]
    shown.append(shuffled("drawn", epoch)[: share.drawn])
    if share.in_turn:
        # What is due in all epochs is one long row of shuffled decks.
        deck, start = divmod(epoch * share.in_turn, share.images)
        end = start + share.in_turn
        decks = [shuffled("in turn", deck + more) for more in range(-(-end // share.images))]
        shown.append(np.concatenate(decks)[start:end])
    return np.concatenate(shown)
