from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from ssl_registry.config.training import OptimizerConfig
from ssl_registry.interfaces.training import ParameterGroup, Trainable, decay_groups
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.schedule import Schedule

SCHEDULE = Schedule(peak=0.1, final=0.0, warmup_steps=0, total_steps=10)


class Plain(Trainable):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.fixed = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.fixed(self.norm(self.layer(inputs))).square().sum()


class Grouped(Plain):
    def parameter_groups(self) -> Iterable[ParameterGroup]:
        yield ParameterGroup(tuple(self.layer.parameters()), rate_scale=0.5)
        yield ParameterGroup(tuple(self.norm.parameters()), weight_decay=False, scheduled=False)
        yield ParameterGroup(tuple(self.fixed.parameters()))


def test_biases_and_norms_are_not_decayed() -> None:
    module = Plain()
    config = OptimizerConfig(name="sgd", weight_decay=0.5, momentum=0)
    optimizer = ScheduledOptimizer(module, config, SCHEDULE)
    optimizer.set_step(0)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        module.layer.bias.fill_(1.0)
    before = module.layer.weight.clone()
    optimizer.step()
    torch.testing.assert_close(module.layer.weight, before * (1 - 0.1 * 0.5))
    assert torch.equal(module.layer.bias, torch.ones(2))
    assert torch.equal(module.norm.weight, torch.ones(2))


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("scheduled", [True, False])
def test_decay_groups(everything: bool, scheduled: bool) -> None:
    module = Plain()
    decayed, spared = decay_groups(
        module.parameters(), biases_and_norms=everything, scheduled=scheduled
    )
    vectors = [module.layer.bias, module.norm.weight, module.norm.bias]
    assert [decayed.weight_decay, spared.weight_decay] == [True, False]
    assert [decayed.scheduled, spared.scheduled] == [scheduled] * 2
    expected = [module.layer.weight, *vectors] if everything else [module.layer.weight]
    assert [id(p) for p in decayed.parameters] == [id(p) for p in expected]
    assert [id(p) for p in spared.parameters] == [id(p) for p in ([] if everything else vectors)]


def test_groups_have_their_own_rates() -> None:
    optimizer = ScheduledOptimizer(Grouped(), OptimizerConfig(weight_decay=0.3), SCHEDULE)
    assert optimizer.set_step(5) == pytest.approx(0.05)
    groups = optimizer.optimizer.param_groups
    assert [group["lr"] for group in groups] == [pytest.approx(0.025), 0.1]
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]


class Two(Trainable):
    """Two weights, 1 and -2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, -2.0]], dtype=torch.float64))


@pytest.mark.parametrize(("name", "expected"), [("adamw", [0.95, -1.9]), ("adam", [0.9, -1.9])])
def test_decay_is_decoupled_in_adamw_alone(
    name: Literal["adam", "adamw"], expected: list[float]
) -> None:
    module = Two()
    config = OptimizerConfig(name=name, weight_decay=0.5)
    optimizer = ScheduledOptimizer(module, config, SCHEDULE)
    optimizer.set_step(0)
    module.weight.grad = torch.zeros_like(module.weight)
    optimizer.step()
    # AdamW shrinks weights by rate x decay; Adam takes the decay for a gradient, whose first
    # step is as long as the rate, however large it is.
    assert module.weight.detach()[0].tolist() == pytest.approx(expected)


def test_sgd_has_the_momentum_of_the_config() -> None:
    module = Two()
    config = OptimizerConfig(name="sgd", momentum=0.8, weight_decay=0)
    optimizer = ScheduledOptimizer(module, config, Schedule(0.1, 0.1, 0, 10))
    for number in range(3):
        optimizer.set_step(number)
        module.weight.grad = torch.ones_like(module.weight)
        optimizer.step()
    # Steps of 1, then 1 + 0.8, then 1 + 0.8 + 0.64 times the rate.
    moved = 0.1 * (1 + 1.8 + 2.44)
    assert module.weight.detach()[0].tolist() == pytest.approx([1 - moved, -2 - moved])


def steps(module: Plain, optimizer: ScheduledOptimizer, numbers: range) -> None:
    for number in numbers:
        inputs = torch.rand(6, 3, generator=torch.Generator().manual_seed(number))
        optimizer.set_step(number)
        optimizer.zero_grad()
        module(inputs).backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_state_round_trip(name: Literal["adam", "adamw", "sgd"]) -> None:
    config = OptimizerConfig(name=name, weight_decay=0.01)
    torch.manual_seed(0)
    module = Plain()
    optimizer = ScheduledOptimizer(module, config, SCHEDULE)
    steps(module, optimizer, range(4))
    kept = {key: value.clone() for key, value in optimizer.tensors().items()}
    state = {key: value.clone() for key, value in module.state_dict().items()}
    steps(module, optimizer, range(4, 8))

    again = Plain()
    again.load_state_dict(state)
    resumed = ScheduledOptimizer(again, config, SCHEDULE)
    resumed.load_tensors(kept)
    steps(again, resumed, range(4, 8))
    for key, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


class Convolution(Trainable):
    """One convolution whose channels are last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 6, (3, 2)).to(memory_format=torch.channels_last)


def convolution_steps(module: Convolution, optimizer: ScheduledOptimizer, numbers: range) -> None:
    for number in numbers:
        inputs = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(number))
        optimizer.set_step(number)
        optimizer.zero_grad()
        module.conv(inputs).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_moments_get_the_layout_of_their_parameters_back(
    name: Literal["adam", "adamw", "sgd"],
) -> None:
    module = Convolution()
    optimizer = ScheduledOptimizer(module, OptimizerConfig(name=name), SCHEDULE)
    convolution_steps(module, optimizer, range(2))
    resumed = ScheduledOptimizer(module, OptimizerConfig(name=name), SCHEDULE)
    kept = optimizer.tensors()
    resumed.load_tensors({key: value.contiguous() for key, value in kept.items()})
    found = resumed.tensors()
    assert found.keys() == kept.keys()
    moments = [key for key in found if found[key].ndim == 4]
    assert len(moments) == (1 if name == "sgd" else 2)
    for key in found:
        assert torch.equal(found[key], kept[key])
        assert not found[key].requires_grad
    for key in moments:
        assert found[key].shape == module.conv.weight.shape
        assert found[key].stride() == module.conv.weight.stride()


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_convolutions_whose_channels_are_last_are_moved_as_others(
    name: Literal["adam", "adamw"],
) -> None:
    """And have the same state, which each can take from the other."""
    config = OptimizerConfig(name=name, weight_decay=0.01)
    modules = []
    for last in (True, False):
        torch.manual_seed(0)
        module = Convolution()
        if not last:
            module.to(memory_format=torch.contiguous_format)
        modules.append((module, ScheduledOptimizer(module, config, SCHEDULE)))
    for module, optimizer in modules:
        convolution_steps(module, optimizer, range(2))
    states = [optimizer.tensors() for _, optimizer in modules]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-4, atol=1e-8)
    for (module, _), state in zip(modules, reversed(states), strict=True):
        again = ScheduledOptimizer(module, config, SCHEDULE)
        again.load_tensors({key: value.clone() for key, value in state.items()})
        convolution_steps(module, again, range(2, 4))
    for ours, plain in zip(*(module.parameters() for module, _ in modules), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("loaded", [True, False])
def test_a_parameter_that_got_other_memory_is_moved_there(
    layout: torch.memory_format, loaded: bool
) -> None:
    modules = []
    for replaced in (True, False):
        torch.manual_seed(0)
        module = Convolution()
        optimizer = ScheduledOptimizer(module, OptimizerConfig(), SCHEDULE)
        convolution_steps(module, optimizer, range(2))
        weight = module.conv.weight
        if replaced:
            weight.data = weight.data.clone(memory_format=layout)
        place = weight.data_ptr()
        if loaded:
            optimizer.load_tensors({key: v.clone() for key, v in optimizer.tensors().items()})
        convolution_steps(module, optimizer, range(2, 4))
        assert weight.data_ptr() == place
        modules.append(module)
    for ours, plain in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_parameter_in_two_groups_is_refused(name: Literal["adam", "sgd"]) -> None:
    class Twice(Convolution):
        def parameter_groups(self) -> list[ParameterGroup]:
            weight = self.conv.weight
            return [ParameterGroup((weight,)), ParameterGroup((weight,), weight_decay=False)]

    with pytest.raises(ValueError, match="more than one parameter group"):
        ScheduledOptimizer(Twice(), OptimizerConfig(name=name), SCHEDULE)


def test_convolutions_of_one_channel_and_of_one_pixel() -> None:
    """Whose layout is ambiguous."""

    class Narrow(Trainable):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(1, 3, 3), nn.Conv2d(3, 1, 3), nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1)
            ).to(memory_format=torch.channels_last)

    modules = []
    for fused in (True, False):
        torch.manual_seed(0)
        module = Narrow().double()
        optimizer = ScheduledOptimizer(module, OptimizerConfig(), SCHEDULE)
        for group in optimizer.optimizer.param_groups:
            group.update(fused=fused, foreach=False)
        for number in range(3):
            inputs = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(number))
            optimizer.set_step(number)
            optimizer.zero_grad()
            module.layers(inputs.double()).square().sum().backward()
            optimizer.step()
        modules.append(module)
    for ours, plain in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_gradient_norm_is_that_of_all_values(dtype: torch.dtype) -> None:
    module = Convolution().to(dtype)
    optimizer = ScheduledOptimizer(module, OptimizerConfig(), SCHEDULE)
    assert optimizer.gradient_norm() == 0  # no gradient yet
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 4, 3, 2, generator=generator).to(dtype)
    expected = values.double().square().sum().sqrt()
    for layout in (torch.channels_last, torch.contiguous_format):
        module.conv.weight.grad = values.contiguous(memory_format=layout)
        tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
        assert optimizer.gradient_norm().item() == pytest.approx(expected.item(), rel=tolerance)
    module.conv.weight.grad = torch.full_like(values, math.inf)
    assert not math.isfinite(optimizer.gradient_norm())


def test_what_is_moved_is_not_copied_first() -> None:
    module = Convolution()
    optimizer = ScheduledOptimizer(module, OptimizerConfig(), SCHEDULE)
    moved = [p for group in optimizer.optimizer.param_groups for p in group["params"]]
    assert all(parameter.is_contiguous() for parameter in moved)
    convolution_steps(module, optimizer, range(1))
    assert [p.data_ptr() for p in moved] == [p.data_ptr() for p in module.parameters()]
    assert all(parameter.grad is None or parameter.ndim != 4 for parameter in moved)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in [*moved, *module.parameters()])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_fused_steps_are_those_of_the_plain_optimizer(
    name: Literal["adam", "adamw"],
) -> None:
    config = OptimizerConfig(name=name, weight_decay=0.01)
    modules = []
    for fused in (True, False):
        torch.manual_seed(0)
        module = Plain().double()
        optimizer = ScheduledOptimizer(module, config, SCHEDULE)
        assert all(group["fused"] for group in optimizer.optimizer.param_groups)
        if not fused:
            for group in optimizer.optimizer.param_groups:
                group.update(fused=False, foreach=False)
        for number in range(5):
            generator = torch.Generator().manual_seed(number)
            optimizer.set_step(number)
            for parameter in module.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.grad = noise.double()
            optimizer.step()
        modules.append(module)
    for ours, plain in zip(*(module.parameters() for module in modules), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
@pytest.mark.parametrize("last", ["weight", "gradient"])
def test_a_gradient_of_another_layout_moves_its_own_elements(
    name: Literal["adam", "adamw", "sgd", "lars"], last: str
) -> None:
    class Weight(Trainable):
        def __init__(self, layout: torch.memory_format) -> None:
            super().__init__()
            start = torch.arange(4 * 3 * 3 * 3, dtype=torch.float64).reshape(4, 3, 3, 3) / 100
            self.weight = nn.Parameter(start.contiguous(memory_format=layout))

    def stepped(weights: torch.memory_format, gradients: torch.memory_format) -> torch.Tensor:
        module = Weight(weights)
        optimizer = ScheduledOptimizer(module, OptimizerConfig(name=name), SCHEDULE)
        for number in range(3):
            optimizer.set_step(number)
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(4, 3, 3, 3, dtype=torch.float64, generator=generator)
            module.weight.grad = noise.contiguous(memory_format=gradients)
            optimizer.step()
        return module.weight.detach()

    plain, channels_last = torch.contiguous_format, torch.channels_last
    layouts = (channels_last, plain) if last == "weight" else (plain, channels_last)
    torch.testing.assert_close(stepped(*layouts), stepped(plain, plain), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_gradients_are_seen(value: float) -> None:
    module = Plain()
    optimizer = ScheduledOptimizer(module, OptimizerConfig(), SCHEDULE)
    module(torch.rand(4, 3)).backward()
    assert math.isfinite(optimizer.gradient_norm())
    assert module.layer.bias.grad is not None
    module.layer.bias.grad[1] = value
    assert not math.isfinite(optimizer.gradient_norm())
