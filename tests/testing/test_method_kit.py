"""Each check of a method catches the method that is wrong in just that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn

from ssl_registry import (
    ConfigError,
    Method,
    MethodContext,
    ParameterGroup,
    PretrainBatch,
    StepOutput,
    Trunk,
)

Failures = Callable[..., dict[str, str]]
CALLS = itertools.count()


class Right(Method):
    """Two views of an image come near each other, relative to a slowly moving centre."""

    centre: Tensor

    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.embed_dim, 4)
        self.register_buffer("centre", torch.zeros(4))
        self.pending: Tensor | None = None

    def embed(self, batch: PretrainBatch) -> list[Tensor]:
        return [self.head(self.trunk.embed(view)) for view in batch.views.images]

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        first, second = first.float(), second.float()
        apart: Tensor = (first - self.centre).square().mean()
        return (first - second).square().mean() - 0.1 * apart

    def remember(self, embedding: Tensor) -> None:
        if self.training:
            self.pending = embedding.detach().float().mean(dim=0)

    def forward(self, batch: PretrainBatch) -> StepOutput:
        first, second = self.embed(batch)
        self.remember(first)
        with torch.autocast("cpu", enabled=False):
            loss = self.loss(first, second)
        return StepOutput(loss, {"spread": first.detach().std()})

    def after_step(self, step: int, committed: bool) -> None:
        if committed and self.pending is not None:
            self.centre = self.centre.lerp(self.pending, 0.5)
        self.pending = None


class DoubleLoss(Right):
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second).double()


class LossPerImage(Right):
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second) + torch.zeros(len(first))


class InfiniteLoss(Right):
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second) / 0


class OneChannelOnly(Right):
    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        if context.channels == 3:
            raise ConfigError("gray images only")
        super().__init__(trunk, config, context)


class FailsOnPairs(Right):
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second) + 0 * first[2].sum()


class UnusedHead(Right):
    def __init__(self, trunk: Trunk, config: object, context: MethodContext) -> None:
        super().__init__(trunk, config, context)
        self.unused = nn.Linear(2, 2)


class ForgottenGroup(Right):
    def parameter_groups(self) -> Iterable[ParameterGroup]:
        return [ParameterGroup(tuple(self.trunk.parameters()))]


class DetachedTrunk(Right):
    def embed(self, batch: PretrainBatch) -> list[Tensor]:
        return [self.head(self.trunk.embed(view).detach()) for view in batch.views.images]


class Unseeded(Right):
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second) * (1 + next(CALLS))


class CountsInPython(Right):
    steps = 0

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        return super().loss(first, second) * (1 + self.steps)

    def after_step(self, step: int, committed: bool) -> None:
        super().after_step(step, committed)
        self.steps += committed


class RemembersInEval(Right):
    def remember(self, embedding: Tensor) -> None:
        self.pending = embedding.detach().float().mean(dim=0)


class MovesInForward(Right):
    def remember(self, embedding: Tensor) -> None:
        self.centre = self.centre.lerp(embedding.detach().float().mean(dim=0), 0.5)


class CommitsAlways(Right):
    def after_step(self, step: int, committed: bool) -> None:
        super().after_step(step, True)


class HalfLoss(Right):
    def forward(self, batch: PretrainBatch) -> StepOutput:
        first, second = self.embed(batch)
        self.remember(first)
        loss = (first - second).square().mean() - 0.1 * first.square().mean()
        return StepOutput(loss.to(first.dtype))


class LoggedWithGradient(Right):
    def forward(self, batch: PretrainBatch) -> StepOutput:
        output = super().forward(batch)
        return StepOutput(output.loss, {"loss_again": output.loss})


def test_a_right_method_passes(failures: Failures) -> None:
    assert failures("method", Right) == {}


@pytest.mark.parametrize(
    ("method", "check", "told"),
    [
        (DoubleLoss, "loss", "torch.float64"),
        (LossPerImage, "loss", "must be a scalar"),
        (InfiniteLoss, "loss", "the loss is"),
        (OneChannelOnly, "loss", "gray images only"),
        (LoggedWithGradient, "loss", "loss_again"),
        (FailsOnPairs, "batch_of_two", "IndexError"),
        (UnusedHead, "gradients", "unused.weight, unused.bias"),
        (ForgottenGroup, "gradients", "leaves out head.weight"),
        (DetachedTrunk, "gradients", "no gradient reaches trunk.backbone"),
        (Unseeded, "same_seed", "the same seed gives"),
        (CountsInPython, "save_and_load", "after loading the losses are"),
        (RemembersInEval, "evaluation", "after_step acts upon"),
        (MovesInForward, "evaluation", "eval mode changes centre"),
        (CommitsAlways, "skipped_step", "changes centre"),
        (HalfLoss, "bf16", "torch.bfloat16"),
    ],
)
def test_a_wrong_method_is_caught(
    failures: Failures, method: type[Method], check: str, told: str
) -> None:
    found = failures("method", method)
    assert check in found
    assert found[check].startswith("method 'made_up': ")
    assert told in found[check]
