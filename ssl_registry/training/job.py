"""What the loop asks of a job; pre-training and fine-tuning are the two jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.training.randomness import epoch_order


class Job(ABC):
    """A module to train and the images to train it on.

    Attributes:
        title: What the progress line is headed with.
        module: The method or task that is trained.
        images: Number of images that an epoch shows.
    """

    title: str
    module: Trainable
    images: int

    @abstractmethod
    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """Forward of one step on the training images at `indices`."""

    def forward_by(self, wrapped: nn.Module) -> None:
        """Let every forward of a training step go through `wrapped`, which wraps `module`.

        Raises:
            ConfigError: The job runs in one process only.
        """
        raise ConfigError(f"{self.title} runs in one process; launch it without torchrun")

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order in which an epoch (from 0) visits the images; a function of its arguments."""
        return epoch_order(seed, epoch, self.images)

    def prepare(self, coming: Sequence[NDArray[np.int64]]) -> None:
        """Told before a step what the calls of `step` after it will be given."""
        return

    def stepped(self, scalars: Mapping[str, float]) -> None:
        """Called after each step that moved the weights, with the scalars it reported."""
        return

    @property
    def stop_reason(self) -> str:
        """Why the run should end now, in sentences for its user; "" if it should go on."""
        return ""

    def epoch_ended(self, epoch: int, last: bool) -> Mapping[str, float]:
        """Measure at the end of an epoch (from 1); what it gives is logged."""
        return {}

    def pictures(self, epoch: int) -> Mapping[str, NDArray[np.uint8]]:
        """Pictures for observers, RGB `[H, W, 3]` by name.

        Asked for before the first step (`epoch` 0) and after each epoch, if anybody looks at
        them. They must leave no trace in the training.
        """
        return {}

    def tensors(self) -> Mapping[str, Tensor]:
        """Tensors beside the module's that a checkpoint must keep."""
        return {}

    def numbers(self) -> Mapping[str, Any]:
        """Numbers that a checkpoint must keep."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take back what `tensors` and `numbers` gave."""
        return
