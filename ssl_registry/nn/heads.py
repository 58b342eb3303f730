"""Projection and prediction heads."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(
    sizes: Sequence[int],
    *,
    batch_norm: bool = False,
    last_batch_norm: bool = False,
    last_shift: bool = True,
) -> nn.Sequential:
    """Linear layers of the given sizes with ReLU between them, mapping `[N, sizes[0]]`.

    Args:
        sizes: Widths from input to output, at least two.
        batch_norm: BatchNorm after each hidden layer, whose bias is then left out.
        last_batch_norm: BatchNorm after the last layer, whose bias is then left out.
        last_shift: Whether that last BatchNorm has a shift (SimCLR's has only a scale).
    """
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = index == len(sizes) - 2
        normed = last_batch_norm if last else batch_norm
        layers.append(nn.Linear(inputs, outputs, bias=not normed))
        if normed:
            norm = nn.BatchNorm1d(outputs)
            if last and not last_shift:
                norm.bias.requires_grad_(False)
            layers.append(norm)
        if not last:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
