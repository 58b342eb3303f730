"""What a method needs to train in several processes as it does in one.

A step's batch is dealt out: of W processes, process r has the images r, r + W, r + 2W and so on.
The loss of a process is the mean over its own images (or pairs, or views), computed with what
the others know where that matters, and the loop takes the mean of all processes' gradients. A
method that follows this gives the gradients of one process with the whole batch:

- Outputs that are compared with those of other images, such as negatives, go through `gather`,
  which gives those of the whole batch, with gradient. The mean is taken over own rows only.
- What is remembered, such as keys in a queue, a centre or counts, is made from gathered values
  (of detached tensors), so that every process remembers the same.
- What is drawn for the whole batch, such as a permutation, goes through `shared`: the generators
  of the processes differ.
- Batch normalisation is taken care of: the loop lets every layer normalise over the whole batch,
  but for layers that derive from `LocalStatistics`. Their running statistics are averaged.
- Every process must come by the same calls in the same order, and report the same scalars.

In one process, and while one of several measures something by itself, all of these do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class LocalStatistics:
    """Base of a batch normalisation whose statistics stay within one process."""


class _Alone:
    """How many blocks of `alone` this process is in."""

    depth = 0


def world_size() -> int:
    """Number of processes that train together; 1 within `alone`."""
    if _Alone.depth or not dist.is_available() or not dist.is_initialized():
        return 1
    return dist.get_world_size()


def rank() -> int:
    """Number of this process, from 0; 0 within `alone`."""
    return dist.get_rank() if world_size() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """Within the block this process computes by itself: nothing is gathered or shared."""
    _Alone.depth += 1
    try:
        yield
    finally:
        _Alone.depth -= 1


def gather(rows: Tensor) -> Tensor:
    """Rows of the whole batch, `[W * N, ...]`, from the `[N, ...]` of each process; with gradient.

    Row n of process r is row n * W + r, its place in the batch as one process would have it. The
    gradient of a process's rows is the sum of what all processes' losses say of them.

    Args:
        rows: Equally many in each process.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def own_rows(rows: Tensor) -> Tensor:
    """Of rows of the whole batch `[W * N, ...]` those of this process, `[N, ...]`."""
    return rows[rank() :: world_size()] if world_size() > 1 else rows


def shared(tensor: Tensor) -> Tensor:
    """The first process's `tensor`, in every process; all give one of the same shape."""
    if world_size() > 1:
        tensor = tensor.contiguous()
        dist.broadcast(tensor, src=0)
    return tensor


@torch.no_grad()
def average(tensor: Tensor) -> Tensor:
    """The mean of the processes' `tensor`, without gradient."""
    if world_size() == 1:
        return tensor.detach()
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        world = world_size()
        parts = rows.new_empty((world, *rows.shape))
        dist.all_gather(list(parts.unbind()), rows.contiguous())
        return parts.transpose(0, 1).reshape(-1, *rows.shape[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return own_rows(total)
