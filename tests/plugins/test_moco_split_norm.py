"""Batch normalisation over parts against a slow loop over the parts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ssl_registry import ConfigError
from ssl_registry_moco.split_norm import SplitBatchNorm, split_batch_norms


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(12, 3, 2, 2), (12, 3)])
def test_split_batch_norm_equals_a_slow_loop_over_parts(
    shape: tuple[int, ...], affine: bool
) -> None:
    torch.manual_seed(0)
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    plain = kind(3, affine=affine).double()
    if affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    holder = nn.Sequential(plain)
    split_batch_norms(holder, 3)
    split = holder[0]
    assert isinstance(split, SplitBatchNorm) and plain.running_mean is not None
    assert plain.running_var is not None and split.num_batches_tracked is not None
    assert list(split.state_dict()) == list(plain.state_dict()) and split.weight is plain.weight
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    means, variances = plain.running_mean.clone(), plain.running_var.clone()
    axes = [axis for axis in range(len(shape)) if axis != 1]

    slow = torch.zeros_like(x)
    new_mean, new_variance = [], []
    for part in range(3):
        chunk = x[part::3]
        mean, variance = chunk.mean(axes), chunk.var(axes, unbiased=False)
        view = [1, 3] + [1] * (len(shape) - 2)
        normed = (chunk - mean.view(view)) / torch.sqrt(variance.view(view) + 1e-5)
        if affine:
            normed = normed * plain.weight.view(view) + plain.bias.view(view)
        slow[part::3] = normed
        new_mean.append(0.9 * means + 0.1 * mean.detach())
        new_variance.append(0.9 * variances + 0.1 * chunk.detach().var(axes))
    fast = split(x)
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(fast)
    inputs = [x, plain.weight, plain.bias] if affine else [x]
    gradients = [torch.autograd.grad((y * weight).sum(), inputs) for y in (fast, slow)]
    for got, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(split.running_mean, torch.stack(new_mean).mean(0))
    torch.testing.assert_close(split.running_var, torch.stack(new_variance).mean(0))
    assert int(split.num_batches_tracked) == 1
    expected = kind(3, affine=affine).double()
    expected.load_state_dict(split.state_dict())
    torch.testing.assert_close(split.eval()(x), expected.eval()(x), rtol=0, atol=0)


def test_a_batch_that_the_parts_do_not_divide_is_refused() -> None:
    holder = nn.Sequential(nn.BatchNorm1d(3))
    split_batch_norms(holder, 4)
    with pytest.raises(ConfigError, match="batch of 6 images cannot be normalised in 4 parts"):
        holder(torch.rand(6, 3))
    assert holder.eval()(torch.rand(6, 3)).shape == (6, 3)


def test_channels_last_images_are_split_alike() -> None:
    torch.manual_seed(0)
    holder = nn.Sequential(nn.BatchNorm2d(4))
    split_batch_norms(holder, 2)
    x = torch.randn(8, 4, 3, 3)
    torch.testing.assert_close(holder(x.contiguous(memory_format=torch.channels_last)), holder(x))


def test_layers_that_do_more_than_normalise_are_not_split() -> None:
    class Other(nn.BatchNorm2d):
        pass

    with pytest.raises(ConfigError, match=r"Other.*batch_norm = 'plain'"):
        split_batch_norms(nn.Sequential(Other(2)), 2)


class Twice(nn.Module):
    """One norm under two names and in two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.BatchNorm1d(3)
        self.part = nn.Sequential(self.first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.first(x), self.second(x), self.part(x)], dim=1)


def test_a_norm_that_is_used_under_several_names_is_split_under_each() -> None:
    torch.manual_seed(0)
    module, names = Twice(), list(Twice().state_dict())
    split_batch_norms(module, 2)
    assert list(module.state_dict()) == names
    assert module.first is module.second is module.part[0]
    x = torch.randn(8, 3)
    expected = torch.empty_like(x)
    for part in range(2):
        chunk = x[part::2]
        expected[part::2] = (chunk - chunk.mean(0)) / torch.sqrt(
            chunk.var(0, unbiased=False) + 1e-5
        )
    torch.testing.assert_close(module(x), expected.repeat(1, 3))
    assert int(module.first.num_batches_tracked or 0) == 3
