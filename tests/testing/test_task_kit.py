"""Each check of a task catches the task that is wrong in just that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import SegmentationBatch, SegmentationNetwork, StepOutput, Task, TaskContext

Failures = Callable[..., dict[str, str]]


class Right(Task):
    """Cross entropy, and a flip of images and masks."""

    teacher_bias: Tensor

    def __init__(self, network: SegmentationNetwork, config: object, context: TaskContext) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("teacher_bias", torch.zeros(()))

    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        return SegmentationBatch(batch.images.flip(-1), batch.masks.flip(-1))

    def entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        if masks.ndim == 4:
            return F.binary_cross_entropy_with_logits(logits, masks.float())
        if logits.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(logits[:, 0], masks.float())
        return F.cross_entropy(logits, masks.long())

    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        logits = self.network(labelled.images)
        with torch.autocast("cpu", enabled=False):
            loss = self.entropy(logits.float(), labelled.masks)
        return StepOutput(loss)


class PlanesOnly(Right):
    def entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, masks.float())


class UnusedHead(Right):
    def __init__(self, network: SegmentationNetwork, config: object, context: TaskContext) -> None:
        super().__init__(network, config, context)
        self.unused = nn.Linear(2, 2)


class NoPredictor(Right):
    @property
    def predictor(self) -> Any:
        return self.network.backbone


class FlipsImagesOnly(Right):
    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        return SegmentationBatch(batch.images.roll(12, -1), batch.masks)


class SmoothMasks(Right):
    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        return SegmentationBatch(batch.images, batch.masks * 255)


def turned(planes: Tensor, mode: str) -> Tensor:
    """Planes `[N, K, H, W]`, turned by a few degrees."""
    turn = torch.tensor([[0.98, 0.17, 0.02], [-0.17, 0.98, 0.01]])
    grid = F.affine_grid(turn.expand(len(planes), 2, 3), list(planes.shape), align_corners=False)
    return F.grid_sample(planes, grid, mode, "border", align_corners=False).clamp(0, 1)


class TurnsWithNearest(Right):
    mode = "nearest"

    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        planes = batch.masks if batch.masks.ndim == 4 else batch.masks[:, None]
        moved = 255 * turned(planes / 255, self.mode)
        masks = moved.round().to(batch.masks.dtype).reshape(batch.masks.shape)
        return SegmentationBatch(turned(batch.images, "bilinear"), masks)


class TurnsBilinearly(TurnsWithNearest):
    mode = "bilinear"


class TurnsNoPlanes(Right):
    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        masks = turned(batch.masks[:, None].float(), "nearest")[:, 0].to(batch.masks.dtype)
        return SegmentationBatch(turned(batch.images, "bilinear"), masks * batch.masks.max())


class BrightImages(Right):
    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        return SegmentationBatch(batch.images + 0.5, batch.masks)


class CountsInPython(Right):
    steps = 0

    def entropy(self, logits: Tensor, masks: Tensor) -> Tensor:
        return super().entropy(logits, masks) * (1 + self.steps)

    def after_step(self, step: int, committed: bool) -> None:
        self.steps += 1


class MovesInForward(Right):
    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        self.teacher_bias = self.teacher_bias + 1
        return super().forward(labelled, unlabelled)


class CountsSkippedSteps(Right):
    def after_step(self, step: int, committed: bool) -> None:
        self.teacher_bias = self.teacher_bias + 1


class HalfLoss(Right):
    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        logits = self.network(labelled.images)
        return StepOutput(logits.square().mean().to(logits.dtype))


@pytest.mark.parametrize("task", [Right, TurnsWithNearest])
def test_a_right_task_passes(failures: Failures, task: type[Task]) -> None:
    assert failures("task", task) == {}


@pytest.mark.parametrize(
    ("task", "check", "told"),
    [
        (PlanesOnly, "loss", "raised ValueError"),
        (UnusedHead, "gradients", "unused.weight"),
        (NoPredictor, "predictor", "TinyBackbone"),
        (FlipsImagesOnly, "augment", "overlap by"),
        (SmoothMasks, "augment", "hold [0, 255]"),
        (TurnsBilinearly, "augment", "hold [0, 1, 2, 3, 4], before it was [0, 4]"),
        (TurnsNoPlanes, "augment", "raised"),
        (BrightImages, "augment", "lie in 0.70 to 1.30"),
        (CountsInPython, "save_and_load", "after loading the losses are"),
        (MovesInForward, "evaluation", "teacher_bias"),
        (CountsSkippedSteps, "skipped_step", "committed=False) changes teacher_bias"),
        (HalfLoss, "bf16", "bfloat16"),
    ],
)
def test_a_wrong_task_is_caught(
    failures: Failures, task: type[Task], check: str, told: str
) -> None:
    found = failures("task", task)
    assert check in found
    assert told in found[check]
