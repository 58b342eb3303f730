"""Batch normalisation with gathered statistics against torch's own, in a group of one process."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from ssl_registry.nn import LocalStatistics, gather, own_rows, rank, shared, world_size
from ssl_registry.nn.whole_batch_norm import WholeBatch, batch_norm, normalize_over_processes


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 3)])
def test_it_equals_batch_norm_with_gradient_and_running_statistics(
    shape: tuple[int, ...], affine: bool
) -> None:
    torch.manual_seed(0)
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    layer = kind(3, affine=affine).double()
    other = copy.deepcopy(layer)
    # Far from 0, where E[x^2] - E[x]^2 would be off.
    x = (torch.randn(shape, dtype=torch.float64) + 1e6).requires_grad_()
    weights = torch.randn(shape, dtype=torch.float64)
    inputs = [x, layer.weight, layer.bias] if affine else [x]
    wanted = layer(x)
    got = batch_norm(
        x, other.running_mean, other.running_var, layer.weight, layer.bias, True, 0.1, 1e-5
    )
    torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(other.running_mean, layer.running_mean)
    torch.testing.assert_close(other.running_var, layer.running_var)
    pairs = [torch.autograd.grad((y * weights).sum(), inputs) for y in (got, wanted)]
    for one, two in zip(*pairs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("group")
def test_half_precision_has_statistics_in_fp32_and_keeps_type_and_layout() -> None:
    torch.manual_seed(0)
    x = torch.randn(8, 4, 6, 6).to(memory_format=torch.channels_last) + 10
    low = x.bfloat16().requires_grad_()
    mean, variance = torch.zeros(4), torch.ones(4)
    got = batch_norm(low, mean, variance, torch.ones(4), torch.zeros(4), True)
    got.float().square().sum().backward()
    assert got.dtype == torch.bfloat16 and low.grad is not None
    assert low.grad.dtype == torch.bfloat16
    assert got.is_contiguous(memory_format=torch.channels_last)
    wanted = F.batch_norm(low.detach().float(), None, None, training=True)
    torch.testing.assert_close(got.float(), wanted, rtol=0.02, atol=0.02)
    torch.testing.assert_close(mean, 0.1 * low.detach().float().mean((0, 2, 3)))


def test_layers_keep_their_tensors_names_and_what_they_are_in_one_process() -> None:
    class Apart(LocalStatistics, nn.BatchNorm1d):
        pass

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), Apart(4))
    plain, names = copy.deepcopy(net), list(net.state_dict())
    weight = net[1].weight
    normalize_over_processes(net)
    normalize_over_processes(net)
    assert [isinstance(layer, WholeBatch) for layer in net] == [False, True, False]
    assert isinstance(net[1], nn.BatchNorm1d) and net[1].weight is weight
    assert list(net.state_dict()) == names and repr(net) == repr(plain)
    x = torch.randn(5, 3)
    assert torch.equal(copy.deepcopy(net)(x), plain(x))
    assert torch.equal(net.eval()(x), copy.deepcopy(plain).eval()(x)) is False  # statistics moved
    plain(x)


def test_one_process_gathers_nothing() -> None:
    x = torch.randn(4, 2, requires_grad=True)
    assert gather(x) is x and own_rows(x) is x and shared(x) is x
    assert (world_size(), rank()) == (1, 0)
