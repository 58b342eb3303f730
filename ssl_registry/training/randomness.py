"""Randomness as a pure function of seed, purpose, step and rank.

Nothing here keeps a state, so a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np
import torch
from numpy.typing import NDArray


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
