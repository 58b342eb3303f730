"""The queue of keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NO_IMAGE = -1
"""Stands for the image of a key that is random."""


class KeyQueue(nn.Module):
    """A ring buffer of the last K keys with the images they came from (He et al. 2020, 3.1).

    It starts full of random keys of length 1, as in the authors' code, so that the loss has all
    its K negatives from the first step on; they are gone after the first K keys. All of it is in
    the state dict. Batches need not divide K.

    Attributes:
        keys: fp32 `[K, D]`, each of length 1.
        ids: int64 `[K]`, the image of each key, -1 for a random one.
        pointer: int64 scalar, the place that the next key takes.
    """

    keys: Tensor
    ids: Tensor
    pointer: Tensor

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(length, dim), dim=1))
        self.register_buffer("ids", torch.full((length,), NO_IMAGE, dtype=torch.int64))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.keys)

    @torch.no_grad()
    def enqueue(self, keys: Tensor, ids: Tensor) -> None:
        """Put `keys` `[M, D]` of the images `ids` `[M]` in place of the oldest keys.

        Of more than K keys only the last K are kept, where they would have come to lie.
        """
        length = len(self)
        kept = min(len(keys), length)
        first = self.pointer + (len(keys) - kept)
        places = (first + torch.arange(kept, device=self.pointer.device)) % length
        self.keys[places] = keys[-kept:].to(self.keys.dtype)
        self.ids[places] = ids[-kept:]
        self.pointer.copy_((self.pointer + len(keys)) % length)


def fitting_length(num_images: int, share: float = 1.0) -> int:
    """Length of a queue for a set: the largest power of two within `share` of it, at most 4096.

    A longer queue would hold several keys of each image, among them the query's own.
    """
    within = max(1, int(share * num_images))
    return min(4096, 1 << (within.bit_length() - 1))
