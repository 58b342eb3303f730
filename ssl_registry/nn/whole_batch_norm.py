"""Batch normalisation over the images of all processes, on any device and in any precision."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from ssl_registry.nn.distributed import LocalStatistics, gather, world_size


class WholeBatch(nn.Module):
    """Mixed into a batch normalisation: its statistics in training are those of all processes.

    In evaluation, in one process, and in its state dict it is the layer it was. torch's own
    SyncBatchNorm takes no CPU tensors, and drops what a derived layer does besides.
    """

    def forward(self, images: Tensor) -> Tensor:
        """What the layer gives for `[N, C, ...]`, normalised over all processes' images."""
        if not self.training or world_size() == 1:
            return super().forward(images)  # type: ignore[no-any-return]
        with _AcrossProcesses():
            return super().forward(images)  # type: ignore[no-any-return]


def normalize_over_processes(module: nn.Module) -> None:
    """Let the batch normalisations inside `module` use the statistics of all processes.

    Those that derive from `LocalStatistics` stay as they are, and torch's SyncBatchNorm, too.
    """
    for layer in module.modules():
        if isinstance(layer, _BatchNorm) and not isinstance(
            layer, (WholeBatch, LocalStatistics, nn.SyncBatchNorm)
        ):
            layer.__class__ = _whole_batch(type(layer))  # type: ignore[arg-type]


def local_norms(module: nn.Module) -> list[_BatchNorm]:
    """The batch normalisations inside `module` whose running statistics differ by process."""
    return [
        layer
        for layer in module.modules()
        if isinstance(layer, _BatchNorm) and not isinstance(layer, (WholeBatch, nn.SyncBatchNorm))
    ]


@functools.cache
def _whole_batch(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """A layer of another class keeps its tensors, its name and all that it does besides."""
    return type(kind.__name__, (WholeBatch, kind), {"__module__": kind.__module__})


class _AcrossProcesses(TorchFunctionMode):
    """Replaces `batch_norm` in training, whatever layer calls it."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        arguments = dict(kwargs or {})
        if func is not F.batch_norm:
            return func(*args, **arguments)
        return batch_norm(*args, **arguments)


def batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm`, in training with the statistics of all processes.

    Statistics and gradients are summed in fp32, or in the images' own type if that is wider.
    """
    if not training:
        return F.batch_norm(
            images, running_mean, running_var, weight, bias, training, momentum, eps
        )
    mean, variance, count = _statistics(images)
    if running_mean is not None and running_var is not None:
        unbiased = variance * (count / (count - 1))
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    normed: Tensor = _Normalize.apply(images, weight, bias, mean, variance, count, eps)
    return normed


@torch.no_grad()
def _statistics(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all processes, and the count of values in each."""
    wide = images.to(torch.promote_types(images.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, _others(images), correction=0)
    count = mean.new_full((1,), images.numel() // images.shape[1])
    # Means and sums of squares around them are joined as by Chan et al. 1979: E[x^2] - E[x]^2
    # would lose the variance of channels far from 0.
    parts = gather(torch.cat([mean, variance * count, count])[None])  # [W, 2C + 1]
    means, squares, counts = torch.split(parts, [len(mean), len(mean), 1], dim=1)
    total = counts.sum()
    mean = (means * counts).sum(dim=0) / total
    squares = (squares + counts * (means - mean).square()).sum(dim=0)
    return mean, squares / total, total


def _others(images: Tensor) -> list[int]:
    """All dimensions but the channels."""
    return [0, *range(2, images.ndim)]


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and var those of all processes' x."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(images, weight, mean, (variance + eps).rsqrt(), count)
        ctx.has_bias = bias is not None
        return F.batch_norm(images, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, mean, inverse, count = ctx.saved_tensors
        others, view = _others(images), [1, -1] + [1] * (images.ndim - 2)
        gradient = gradients[0].to(mean.dtype)
        normed = (images.to(mean.dtype) - mean.view(view)) * inverse.view(view)
        own = torch.stack([gradient.sum(others), (gradient * normed).sum(others)])  # [2, C]
        sums = own.clone()
        dist.all_reduce(sums)
        to_bias, to_weight = (sums / count).unbind()
        scale = inverse if weight is None else inverse * weight
        gradient = gradient - to_bias.view(view) - normed * to_weight.view(view)
        to_images = (gradient * scale.view(view)).to(images.dtype)
        # Parameters get what is due to this process's images; the mean over processes is the
        # loop's.
        own_weight = None if weight is None else own[1].to(weight.dtype)
        own_bias = own[0].to(mean.dtype) if ctx.has_bias else None
        return to_images, own_weight, own_bias, None, None, None, None
