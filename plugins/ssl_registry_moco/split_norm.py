"""Batch normalisation over parts of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_registry import ConfigError
from ssl_registry.nn import LocalStatistics

_SPLITTABLE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SplitBatchNorm(LocalStatistics, _BatchNorm):
    """In training, normalises every `splits`-th image of a batch together, as on several devices.

    MoCo needs this on one device: with statistics of the whole batch a query can tell its key by
    them (He et al. 2020, section 3.3). Running statistics move by the mean over the parts. In
    evaluation, and in its state dict, it is an ordinary batch normalisation. In several processes
    each has parts of its own.

    Args:
        norm: The layer it takes the place of; parameters and buffers are taken over.
        splits: Number of parts; must divide every training batch.

    Raises:
        ConfigError: In training, a batch that it does not divide: such as where the network of a
            method goes on into another training.
    """

    def __init__(self, norm: _BatchNorm, splits: int) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.splits = splits
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.track_running_stats = norm.track_running_stats
        self.training = norm.training

    def forward(self, images: Tensor) -> Tensor:
        """Normalised `[N, C, ...]`."""
        if not self.training:
            return super().forward(images)
        count, channels, *rest = images.shape
        if count % self.splits:
            raise ConfigError(
                f"a batch of {count} images cannot be normalised in {self.splits} parts. If this "
                "network was pre-trained by moco in this process, load its weights into a new one "
                "(ssl_registry.load_weights), which has plain norms"
            )
        # Parts become channels: row r, channel (p, c) is channel c of image r * splits + p.
        parts = images.reshape(count // self.splits, self.splits * channels, *rest)
        mean, variance = self._repeated(self.running_mean), self._repeated(self.running_var)
        normed = F.batch_norm(
            parts,
            mean,
            variance,
            self._repeated(self.weight),
            self._repeated(self.bias),
            training=True,
            momentum=self._momentum(),
            eps=self.eps,
        )
        if mean is not None and variance is not None:
            self._keep(mean, variance)
        return normed.reshape(images.shape)

    def _repeated(self, values: Tensor | None) -> Tensor | None:
        return None if values is None else values.repeat(self.splits)

    def _momentum(self) -> float:
        if self.momentum is not None:
            return self.momentum
        return (
            1 / (1 + int(self.num_batches_tracked)) if self.num_batches_tracked is not None else 0
        )

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        for buffer, repeated in ((self.running_mean, mean), (self.running_var, variance)):
            if buffer is not None:
                buffer.copy_(repeated.view(self.splits, -1).mean(dim=0))
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions is fine."""


def split_batch_norms(module: nn.Module, splits: int) -> None:
    """Put a `SplitBatchNorm` in the place of every batch normalisation inside `module`.

    Raises:
        ConfigError: A layer is a batch normalisation of another kind, which does more.
    """
    split: dict[nn.Module, SplitBatchNorm] = {}
    # With duplicates: a layer that a network uses under two names is one layer afterwards, too.
    for name, child in list(module.named_modules(remove_duplicate=False)):
        if not isinstance(child, _BatchNorm):
            continue
        if type(child) not in _SPLITTABLE:
            raise ConfigError(
                f"moco cannot split the {type(child).__name__} of this backbone; "
                "set method.batch_norm = 'plain'"
            )
        if child not in split:
            split[child] = SplitBatchNorm(child, splits)
        parent, _, own_name = name.rpartition(".")
        setattr(module.get_submodule(parent), own_name, split[child])
