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
    kept = [
        (part, name, buffer, None if buffer is None else buffer.clone())
        for part, _ in modes
        for name, buffer in part._buffers.items()
    ]
    on_cuda = any(buffer is not None and buffer.is_cuda for _, _, buffer, _ in kept)
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
            for part, name, buffer, before in kept:
                # The very tensor comes back, also where another one was put in its place.
                part._buffers[name] = buffer
                if buffer is not None and before is not None:
                    buffer.copy_(before)
