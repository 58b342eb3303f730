"""The contract of a task: what fine-tuning optimises."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.nn.segmentation import SegmentationNetwork


@dataclass(frozen=True)
class TaskContext:
    """What a task cannot know from its config.

    Attributes:
        classes: Names of the foreground classes.
        exclusive: Whether a pixel belongs to at most one of them.
        total_steps: Steps the run will take.
    """

    classes: tuple[str, ...]
    exclusive: bool
    total_steps: int


@dataclass(frozen=True)
class SegmentationBatch:
    """A batch of N images with masks.

    Attributes:
        images: float `[N, C, H, W]`, in [0, 1] until the loop normalises them.
        masks: uint8 `[N, H, W]` of class numbers, or `[N, K, H, W]` of 0 and 1 if classes
            overlap.
    """

    images: Tensor
    masks: Tensor


class Task(Trainable):
    """Built by `Task(network, config, context)` around the network it fine-tunes.

    Attributes:
        network: The network whose weights are trained.
    """

    network: SegmentationNetwork

    @property
    def predictor(self) -> SegmentationNetwork:
        """The network that is evaluated and saved; a teacher where the task keeps one."""
        return self.network

    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        """Augment a labelled batch with images in [0, 1]; by default nothing is done."""
        return batch

    @abstractmethod
    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        """The loss over a labelled batch, and over unlabelled images where the task uses them."""
