"""Measuring a module in the middle of its training without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def undisturbed(*modules: nn.Module) -> Iterator[None]:
    """Put modules into eval mode, without gradients; afterwards all is as it was before.

    Modes of all their submodules, all their buffers (running statistics, queues) and torch's
    generators are put back, so that training goes on with the bits it would have had.
    """
    modes = [(part, part.training) for module in modules for part in module.modules()]
    kept = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    on_cuda = any(buffer.is_cuda for buffer, _ in kept)
    devices = [torch.cuda.current_device()] if on_cuda else []
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            for module in modules:
                module.eval()
            yield
    finally:
        for part, training in modes:
            part.training = training
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)
