"""LARS against steps done by hand with numpy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ssl_registry.config.training import OptimizerConfig
from ssl_registry.interfaces.training import ParameterGroup, Trainable
from ssl_registry.training.lars import LARS
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.schedule import Schedule

Array = NDArray[np.float64]


class Layer(Trainable):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 3, dtype=torch.float64, generator=generator))
        self.bias = nn.Parameter(torch.randn(4, dtype=torch.float64, generator=generator))


class Decayed(Layer):
    def parameter_groups(self) -> Iterable[ParameterGroup]:
        yield ParameterGroup((self.weight, self.bias))


def scheduled(module: Trainable, weight_decay: float) -> ScheduledOptimizer:
    config = OptimizerConfig(
        name="lars", learning_rate=0.3, weight_decay=weight_decay, trust_coefficient=0.02
    )
    return ScheduledOptimizer(module, config, Schedule(0.3, 0.0, 0, 8))


def gradients(step: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(step)
    return generator.normal(size=(4, 3)), generator.normal(size=4)


def by_hand(w: Array, v: Array, g: Array, rate: float, decay: float, adapted: bool) -> None:
    """One step of SimCLR's LARS, in place."""
    u = g + decay * w
    norms = np.sqrt((w**2).sum()), np.sqrt((u**2).sum())
    ratio = 0.02 * norms[0] / norms[1] if adapted else 1.0
    v[:] = 0.9 * v + rate * ratio * u
    w -= v


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", [Layer, Decayed])
def test_steps_equal_those_by_hand(kind: type[Layer], decay: float) -> None:
    module = kind()
    optimizer = scheduled(module, decay)
    w, b = (p.detach().numpy().copy() for p in (module.weight, module.bias))
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    for step in range(5):
        rate = optimizer.set_step(step)
        gw, gb = gradients(step)
        module.weight.grad, module.bias.grad = torch.from_numpy(gw), torch.from_numpy(gb)
        optimizer.step()
        by_hand(w, vw, gw, rate, decay, adapted=True)
        # Without decay there is no adaptation either; with decay = 0 weights are still adapted.
        spared = kind is Layer
        by_hand(b, vb, gb, rate, 0.0 if spared else decay, adapted=not spared)
        np.testing.assert_allclose(module.weight.detach().numpy(), w, rtol=1e-12)
        np.testing.assert_allclose(module.bias.detach().numpy(), b, rtol=1e-12)


def test_the_size_of_a_gradient_does_not_matter() -> None:
    moved = []
    for scale in (1.0, 1000.0):
        module = Layer()
        before = module.weight.detach().clone()
        module.weight.grad = scale * torch.from_numpy(gradients(0)[0])
        LARS([module.weight], lr=0.3, trust_coefficient=0.02).step()
        moved.append(module.weight.detach() - before)
        assert float(moved[-1].norm() / before.norm()) == pytest.approx(0.3 * 0.02)
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_a_norm_of_zero_leaves_the_rate_as_it_is(zero: str) -> None:
    weight = nn.Parameter(torch.zeros(3) if zero == "weight" else torch.ones(3))
    weight.grad = torch.zeros(3) if zero == "gradient" else torch.ones(3)
    LARS([weight], lr=0.5).step()
    expected = -0.5 if zero == "weight" else 1.0
    assert torch.equal(weight.detach(), torch.full((3,), expected))


def test_parameters_without_gradient_stay_and_a_closure_is_run() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = LARS([weight], lr=0.5)
    assert optimizer.step(lambda: 7.0) == 7.0
    assert torch.equal(weight.detach(), torch.ones(3))
    assert not optimizer.state


def run(module: Layer, optimizer: ScheduledOptimizer, steps: range) -> None:
    for step in steps:
        optimizer.set_step(step)
        gw, gb = gradients(step)
        module.weight.grad, module.bias.grad = torch.from_numpy(gw), torch.from_numpy(gb)
        optimizer.step()


def test_the_state_is_tensors_and_goes_round() -> None:
    module = Layer()
    optimizer = scheduled(module, 0.1)
    run(module, optimizer, range(4))
    kept = {name: value.clone() for name, value in optimizer.tensors().items()}
    assert sorted(kept) == ["0.momentum_buffer", "1.momentum_buffer"]
    again = Layer()
    again.load_state_dict({name: value.clone() for name, value in module.state_dict().items()})
    resumed = scheduled(again, 0.1)
    resumed.load_tensors(kept)
    run(module, optimizer, range(4, 8))
    run(again, resumed, range(4, 8))
    assert torch.equal(module.weight, again.weight) and torch.equal(module.bias, again.bias)
