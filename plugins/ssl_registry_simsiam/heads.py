"""The projector of SimSiam."""

from __future__ import annotations

from torch import nn

from ssl_registry.nn import mlp


def projector(embed_dim: int, hidden_dim: int, dim: int, layers: int) -> nn.Sequential:
    """Linear layers, each followed by BatchNorm, with ReLU between them (section 3).

    The last BatchNorm has neither scale nor shift. The last linear layer keeps a bias, which the
    BatchNorm takes away again; it is frozen, and there so that official weights fit.
    """
    hidden = mlp([embed_dim, *[hidden_dim] * (layers - 1)], batch_norm=True, last_batch_norm=True)
    last = nn.Linear(hidden_dim, dim)
    last.bias.requires_grad_(False)
    return nn.Sequential(*hidden, nn.ReLU(inplace=True), last, nn.BatchNorm1d(dim, affine=False))
