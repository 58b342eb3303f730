"""Activation checkpointing: memory for time, on any network that is made of blocks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """Mixed into a block: in training its activations are computed again when they are needed.

    Only its input is kept (Chen et al. 2016, arXiv:1604.06174). Buffers that a forward moves,
    running statistics above all, are moved once, as without.
    """

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the block gives."""
        if not self.training or not torch.is_grad_enabled():
            return super().forward(*inputs, **options)
        return checkpoint(
            super().forward,
            *inputs,
            use_reentrant=False,
            context_fn=functools.partial(_contexts, self),
            **options,
        )


def recompute_blocks(module: nn.Module) -> int:
    """Let the blocks of `module` recompute their activations; gives how many there are.

    Blocks are the innermost members of a Sequential or a ModuleList that have layers of their
    own: a residual block of a ResNet, a level of a U-Net, a block of a transformer.
    """
    found = [block for block in _candidates(module) if not _candidates(block)]
    for block in found:
        if not isinstance(block, Recomputed):
            block.__class__ = _recomputed(type(block))  # type: ignore[arg-type]
    return len(found)


def _candidates(module: nn.Module) -> list[nn.Module]:
    members = (
        member
        for holder in module.modules()
        if isinstance(holder, (nn.Sequential, nn.ModuleList))
        for member in holder
    )
    unique = {id(member): member for member in members if _is_block(member)}
    return list(unique.values())


def _is_block(member: nn.Module) -> bool:
    if isinstance(member, nn.ModuleList):
        return False
    return any(True for child in member.children() for _ in child.parameters())


@functools.cache
def _recomputed(kind: type[nn.Module]) -> type[nn.Module]:
    """A block of another class keeps its tensors, its name and its copies."""
    return type(kind.__name__, (Recomputed, kind), {"__module__": kind.__module__})


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Those of the forward and of its repetition."""
    return nullcontext(), _buffers_kept(block)


@contextmanager
def _buffers_kept(block: nn.Module) -> Iterator[None]:
    buffers = list(block.buffers())
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, before in zip(buffers, kept, strict=True):
            # Through `data`: autograd must not take this for a change of what it has saved.
            buffer.data.copy_(before)
