"""The SimSiam plugin: its loss, its heads, its rates, and why it needs the stop-gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry import (
    Backbone,
    ConfigError,
    MethodContext,
    PretrainBatch,
    StepOutput,
    TrainingError,
    Trunk,
    Views,
    registry,
)
from ssl_registry.config.monitoring import MonitoringConfig
from ssl_registry.config.training import OptimizerConfig, TrainingConfig
from ssl_registry.training.collapse import CollapseWatch
from ssl_registry.training.device import choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop
from ssl_registry.training.loop_state import LoopState
from ssl_registry.training.monitoring import embedding_spread
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.schedule import Schedule
from ssl_registry_simsiam.loss import negative_cosine
from ssl_registry_simsiam.method import SimSiam


def pair(n: int, d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n * 100 + d)
    first, second = torch.randn(2, n, d, dtype=dtype, generator=generator)
    return first.requires_grad_(), second


def slow_negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Equation 1 of Chen and He 2021, image by image."""
    total = torch.zeros((), dtype=p.dtype)
    for one, other in zip(p, z, strict=True):
        dot = sum((a * b for a, b in zip(one, other, strict=True)), torch.zeros((), dtype=p.dtype))
        total = total - dot / (one.square().sum().sqrt() * other.square().sum().sqrt())
    return total / len(p)


@pytest.mark.parametrize(("n", "d"), [(1, 3), (5, 4), (9, 16)])
def test_loss_and_gradient_equal_the_slow_loop(n: int, d: int) -> None:
    p, z = pair(n, d)
    slow, fast = slow_negative_cosine(p, z), negative_cosine(p, z)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)
    (expected,) = torch.autograd.grad(slow, p)
    torch.testing.assert_close(torch.autograd.grad(fast, p)[0], expected, rtol=1e-9, atol=1e-9)
    single = negative_cosine(p.detach().float(), z.float())
    assert abs(float(single) - float(slow.detach())) < 1e-6


@pytest.mark.parity
def test_loss_and_gradient_equal_lightlys() -> None:
    loss = pytest.importorskip("lightly.loss", reason="needs the dev extra")
    p, z = pair(8, 16)
    ours, theirs = negative_cosine(p, z), loss.NegativeCosineSimilarity()(p, z)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(value, p)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


def test_values_of_known_directions() -> None:
    unit = torch.eye(4)
    assert float(negative_cosine(unit, unit.roll(1, 0))) == 0
    assert float(negative_cosine(3 * unit, unit)) == pytest.approx(-1)
    assert float(negative_cosine(unit, -2 * unit)) == pytest.approx(1)
    assert float(negative_cosine(torch.zeros(2, 4), torch.zeros(2, 4))) == 0


def test_bf16_under_autocast_gives_the_fp32_loss() -> None:
    p, z = (x.detach().bfloat16() for x in pair(16, 32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = negative_cosine(p, z)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, negative_cosine(p.float(), z.float()))


class Tiny(Backbone):
    """Two convolutions; counts its forwards."""

    reductions = (4,)

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels, self.channels = in_channels, (16,)
        self.net = nn.Sequential(
            nn.Conv2d(in_channels, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.batches.append(len(images))
        return [self.net(images)]


SMALL = {"projection_dim": 32, "hidden_dim": 32, "prediction_hidden_dim": 8}


def method(
    kind: type[SimSiam] = SimSiam, channels: int = 1, batch_size: int = 8, **settings: Any
) -> SimSiam:
    config = registry.config_model("method", "simsiam")(**{**SMALL, **settings})
    context = MethodContext(
        num_images=64, total_steps=10, batch_size=batch_size, image_size=8, channels=channels
    )
    assert issubclass(kind, registry.factory("method", "simsiam"))  # type: ignore[arg-type]
    return kind(Trunk(Tiny(channels)), config, context)  # type: ignore[arg-type]


def batch(*images: Tensor) -> PretrainBatch:
    return PretrainBatch(Views(images), torch.arange(len(images[0])))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_step_is_that_of_equation_4(channels: int) -> None:
    torch.manual_seed(0)
    simsiam = method(channels=channels).double()
    x1, x2 = torch.rand(2, 8, channels, 8, 8, dtype=torch.float64)
    output = simsiam(batch(x1, x2))
    output.loss.backward()
    backbone = simsiam.trunk.backbone
    assert isinstance(backbone, Tiny) and backbone.batches == [8, 8]
    got = {name: p.grad for name, p in simsiam.named_parameters() if p.requires_grad}
    simsiam.zero_grad()

    z1, z2 = (simsiam.projection(simsiam.trunk.embed(x)) for x in (x1, x2))
    p1, p2 = simsiam.prediction(z1), simsiam.prediction(z2)
    fixed1, fixed2 = z1.detach().clone(), z2.detach().clone()
    slow = (slow_negative_cosine(p1, fixed2) + slow_negative_cosine(p2, fixed1)) / 2
    torch.testing.assert_close(output.loss, slow)
    slow.backward()  # type: ignore[no-untyped-call]
    for name, parameter in simsiam.named_parameters():
        if parameter.requires_grad:
            assert got[name] is not None and parameter.grad is not None, name
            torch.testing.assert_close(got[name], parameter.grad, rtol=1e-6, atol=1e-9, msg=name)
    assert output.embeddings is not None
    assert torch.equal(output.embeddings, torch.cat([p1, p2]).detach())
    assert not output.embeddings.requires_grad
    alignment = output.scalars["alignment"]
    torch.testing.assert_close(alignment, -slow_negative_cosine(fixed1, fixed2))


def test_the_loss_starts_near_zero() -> None:
    torch.manual_seed(0)
    simsiam = method(batch_size=64, projection_dim=512, hidden_dim=64)
    loss = float(simsiam(batch(*torch.rand(2, 64, 1, 8, 8))).loss.detach())
    assert abs(loss) < 0.1


class WithoutStopGradient(SimSiam):
    def target(self, z: Tensor) -> Tensor:
        return z


def spread_after_training(kind: type[SimSiam]) -> tuple[float, float]:
    """The gauge before and after 120 steps on 64 images whose views differ by noise."""
    torch.manual_seed(0)
    simsiam = method(kind, batch_size=64)
    trained = [p for p in simsiam.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(64, 1, 8, 8)
    spreads = []
    for _ in range(120):
        views = (images + 0.5 * torch.randn_like(images) for _ in range(2))
        output = simsiam(batch(*views))
        assert output.embeddings is not None
        spreads.append(embedding_spread(output.embeddings))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    return spreads[0], sum(spreads[-10:]) / 10


def test_without_stop_gradient_it_collapses_and_the_gauge_says_so() -> None:
    start, with_stop = spread_after_training(SimSiam)
    same_start, without_stop = spread_after_training(WithoutStopGradient)
    assert start == same_start > 0.5
    assert with_stop > 0.6
    assert without_stop < 0.15


class NoisyViews(Job):
    """64 images whose views differ by noise, with a watch over collapse."""

    title, images = "noisy views", 64

    def __init__(self, kind: type[SimSiam]) -> None:
        torch.manual_seed(0)
        self.module = method(kind, batch_size=64)
        self._pictures = torch.rand(64, 1, 8, 8)
        self._watch = CollapseWatch(
            MonitoringConfig(on_collapse="stop", collapse_threshold=0.25, collapse_steps=20)
        )

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        views = (self._pictures + 0.5 * torch.randn_like(self._pictures) for _ in range(2))
        output: StepOutput = self.module(batch(*views))
        return output

    def stepped(self, scalars: Mapping[str, float]) -> None:
        self._watch.saw(scalars)

    @property
    def stop_reason(self) -> str:
        return self._watch.stop_reason


def trained(kind: type[SimSiam], folder: Path) -> LoopState:
    folder.mkdir()
    optimizer = OptimizerConfig(
        name="sgd", learning_rate=0.1, final_learning_rate=0.1, weight_decay=1e-4
    )
    config = TrainingConfig(epochs=200, batch_size=64, device="cpu", optimizer=optimizer)
    execution = choose_execution(config)
    return Loop(NoisyViews(kind), config, 0, RunFolder(folder), execution).train(
        {"config": {}}, resume=False
    )


def test_a_run_without_stop_gradient_is_stopped_early_and_one_with_it_is_not(
    tmp_path: Path,
) -> None:
    assert trained(SimSiam, tmp_path / "healthy").step == 200
    with pytest.raises(TrainingError, match="have collapsed: for 20 steps") as stopped:
        trained(WithoutStopGradient, tmp_path / "stopped")
    assert "learning_rate" in str(stopped.value)
    row = RunFolder(tmp_path / "stopped").read_log()[-1]
    assert 20 < row["step"] < 200 and row["embedding_spread"] < 0.25
    assert list((tmp_path / "stopped" / "checkpoint").iterdir())


@pytest.mark.parametrize("layers", [2, 3])
def test_the_heads_are_those_of_the_paper(layers: int) -> None:
    simsiam = method(projection_layers=layers, hidden_dim=24)
    linears = [m for m in simsiam.projection if isinstance(m, nn.Linear)]
    norms = [m for m in simsiam.projection if isinstance(m, nn.BatchNorm1d)]
    hidden = [(24, 16), (24, 24)][: layers - 1]
    assert [tuple(m.weight.shape) for m in linears] == [*hidden, (32, 24)]
    assert [m.bias is None for m in linears] == [True] * (layers - 1) + [False]
    assert [m.affine for m in norms] == [True] * (layers - 1) + [False]
    assert isinstance(simsiam.projection[-1], nn.BatchNorm1d)
    assert not linears[-1].bias.requires_grad
    predictor = [type(m).__name__ for m in simsiam.prediction]
    assert predictor == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    first, last = simsiam.prediction[0], simsiam.prediction[3]
    assert isinstance(first, nn.Linear) and isinstance(last, nn.Linear)
    assert first.bias is None and tuple(first.weight.shape) == (8, 32)
    assert last.bias is not None and tuple(last.weight.shape) == (32, 8)


def test_the_paper_s_heads_have_its_sizes() -> None:
    config = registry.config_model("method", "simsiam")(name="simsiam")
    assert config.model_dump(exclude={"name"}) == {
        "projection_dim": 2048,
        "hidden_dim": 2048,
        "projection_layers": 3,
        "prediction_hidden_dim": 512,
        "constant_predictor_rate": True,
        "decay_biases_and_norms": True,
    }


def test_the_frozen_bias_changes_nothing_and_never_moves() -> None:
    torch.manual_seed(0)
    simsiam = method()
    last = simsiam.projection[-2]
    assert isinstance(last, nn.Linear)
    views = torch.rand(2, 8, 1, 8, 8)
    loss = simsiam(batch(*views)).loss
    with torch.no_grad():
        last.bias.add_(3.0)
    torch.testing.assert_close(simsiam(batch(*views)).loss, loss, rtol=0, atol=1e-5)
    optimizer = ScheduledOptimizer(simsiam, OptimizerConfig(), Schedule(0.1, 0, 0, 10))
    optimized = {id(p) for group in optimizer.optimizer.param_groups for p in group["params"]}
    everything = {id(p) for p in simsiam.parameters()}
    assert everything - optimized == {id(last.bias)}


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("everything", [True, False])
def test_the_predictor_keeps_its_rate(constant: bool, everything: bool) -> None:
    simsiam = method(constant_predictor_rate=constant, decay_biases_and_norms=everything)
    config = OptimizerConfig(name="sgd", learning_rate=0.1, weight_decay=0.5)
    optimizer = ScheduledOptimizer(simsiam, config, Schedule(0.1, 0.0, 0, 10))
    rate = optimizer.set_step(5)
    assert rate == pytest.approx(0.05)
    predictor = {id(p) for p in simsiam.prediction.parameters()}
    for group in optimizer.optimizer.param_groups:
        for parameter in group["params"]:
            fixed = constant and id(parameter) in predictor
            assert group["lr"] == pytest.approx(0.1 if fixed else 0.05)
            decayed = everything or parameter.ndim > 1
            assert group["weight_decay"] == (0.5 if decayed else 0.0)


def test_views_are_normalised_by_their_own_statistics() -> None:
    torch.manual_seed(0)
    simsiam = method()
    x1, x2 = torch.rand(8, 1, 8, 8), 5 + torch.rand(8, 1, 8, 8)
    together, alone = simsiam(batch(x1, x2)), simsiam(batch(x1, x1))
    assert together.embeddings is not None and alone.embeddings is not None
    torch.testing.assert_close(together.embeddings[:8], alone.embeddings[:8])


@pytest.mark.parametrize("number", [1, 3])
def test_other_than_two_views_are_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=f"two views.* gives {number}"):
        method()(batch(*torch.rand(number, 4, 1, 8, 8)))


def test_a_single_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="one image"):
        method()(batch(*torch.rand(2, 1, 1, 8, 8)))
    with pytest.raises(ConfigError, match="batch_size"):
        method(batch_size=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_views_are_those_of_moco_v2(channels: int) -> None:
    name = registry.config_model("method", "simsiam").default_augmentation  # type: ignore[attr-defined]
    assert registry.find("augmentation", name).plugin.name == "simsiam"
    pipelines = [
        registry.factory("augmentation", name)(
            registry.config_model("augmentation", name)(name=name), 32, channels
        )
        for name in ("simsiam", "moco_v2")
    ]
    images = torch.rand(6, channels, 40, 40)
    drawn = []
    for pipeline in pipelines:
        torch.manual_seed(3)
        drawn.append(torch.stack(pipeline(images).images))
    assert drawn[0].shape == (2, 6, channels, 32, 32)
    assert torch.equal(*drawn)
    assert math.isfinite(float(drawn[0].sum())) and 0 <= drawn[0].min() <= drawn[0].max() <= 1
