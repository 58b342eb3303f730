"""A forward pass that computes nothing: what a network refuses, before anything is begun."""

from __future__ import annotations

import copy

import torch
from torch import nn


def refused_batch(network: nn.Module, images: int, channels: int, side: int) -> str:
    """What the norms of `network` in training say of a batch that leaves them too little.

    A copy without values is shown images without values `[images, channels, side, side]`. A norm
    needs more than one value per channel of its map: of all images (batch normalisation) or of
    each (instance normalisation).

    Returns:
        The complaint; "" if there is none, or if the network cannot do without values.
    """
    shapes = [*network.parameters(), *network.buffers()]
    hollow = {id(tensor): _hollow(tensor) for tensor in shapes}
    trial = copy.deepcopy(network, hollow).train()
    try:
        with torch.no_grad():
            trial(torch.empty(images, channels, side, side, device="meta"))
    except ValueError as error:
        text = str(error)
        return text if text.startswith("Expected more than 1") else ""
    except (RuntimeError, NotImplementedError):
        return ""  # an operation that looks at values; the first step tells what is wrong
    return ""


def _hollow(tensor: torch.Tensor) -> torch.Tensor:
    empty = torch.empty_like(tensor, device="meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
