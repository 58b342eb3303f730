"""The contract of a self-supervised method: views in, a loss out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ssl_registry.interfaces.augmentation import Views
from ssl_registry.interfaces.training import StepOutput, Trainable


@dataclass(frozen=True)
class MethodContext:
    """What a method cannot know from its config, so that it guesses nothing.

    Attributes:
        num_images: Images that are trained on.
        total_steps: Steps the run will take.
        batch_size: Images per forward and process: those of a step, divided by the processes and
            the micro-batches.
        image_size: Side of the views, px.
        channels: Channels of the views.
        vocabulary: For each key of `Sample.meta`, its values in order; `PretrainBatch.meta`
            holds places in it.
        world_size: Number of processes; see `ssl_registry.nn.distributed` for what a method
            has to do to train in several as in one.
    """

    num_images: int
    total_steps: int
    batch_size: int
    image_size: int
    channels: int
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    world_size: int = 1


@dataclass(frozen=True)
class PretrainBatch:
    """A batch of N images as a method sees it.

    Attributes:
        views: The normalised views, each `[N, channels, H, W]`.
        sample_id: int64 `[N]`, the place of each image in the run's data. Images that are trained
            on have those below `MethodContext.num_images`; held-out images, on which the loss is
            measured in eval mode, have larger ones, which no image that was trained on ever had.
        meta: Per metadata key int64 `[N]`, places in the vocabulary, -1 where unknown.
    """

    views: Views
    sample_id: Tensor
    meta: Mapping[str, Tensor] = field(default_factory=dict)


class Method(Trainable):
    """Built by `Method(trunk, config, context)`; trains the `Trunk` it is given.

    In eval mode a forward changes no state: no queue, teacher, counter or running statistic, nor
    anything that `after_step` would act upon. The loss on held-out images is measured that way.

    Every forward of a training step must happen inside `forward`, because that is the module
    that data-parallel training wraps.
    """

    @abstractmethod
    def forward(self, batch: PretrainBatch) -> StepOutput:
        """The loss of one batch (scalar, fp32) with named scalars."""
