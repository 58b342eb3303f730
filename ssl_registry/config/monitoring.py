"""What a pre-training watches of itself, besides its loss."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from ssl_registry.config.strict import StrictModel

_VALIDATIONS, _RANKS = 20, 5


class MonitoringConfig(StrictModel):
    """What a pre-training watches; the defaults cost a few per cent of its time.

    The gradient norm and the spread of the outputs are watched in every step.
    """

    validation_epochs: int | None = Field(
        default=None,
        ge=0,
        description="Loss on held-out images (the part val) every so many epochs; 0: never; "
        f"default: about {_VALIDATIONS} times in a run.",
    )
    validation_batches: int = Field(
        default=4, ge=1, description="Batches it is measured on, the same ones each time."
    )
    rank_epochs: int | None = Field(
        default=None,
        ge=0,
        description="Effective rank of the embeddings every so many epochs; 0: never; "
        f"default: about {_RANKS} times in a run.",
    )
    rank_images: int = Field(
        default=1024, ge=2, description="Training images it is measured on, at most."
    )
    on_collapse: Literal["warn", "stop"] = Field(
        default="warn", description="Whether a run whose outputs have collapsed goes on."
    )
    collapse_threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Outputs have collapsed if their spread (1: even, 0: all alike) is below this; "
        "0: never.",
    )
    collapse_steps: int = Field(
        default=100, ge=1, description="In so many steps in a row, that is."
    )

    def validation_due(self, epoch: int, epochs: int) -> bool:
        """Whether the validation loss is measured after `epoch` (from 1) of `epochs`."""
        return due(self.validation_epochs, _VALIDATIONS, epoch, epochs)

    def rank_due(self, epoch: int, epochs: int) -> bool:
        """Whether the effective rank is measured after `epoch` (from 1) of `epochs`."""
        return due(self.rank_epochs, _RANKS, epoch, epochs)


def due(every: int | None, times: int, epoch: int, epochs: int) -> bool:
    """Whether something is done after `epoch`: every so many epochs, and after the last.

    Args:
        every: How many epochs lie between; 0: never; None: as many as make about `times` times.
        times: See there.
        epoch: The epoch that ended, from 1.
        epochs: How many there are.
    """
    step = math.ceil(epochs / times) if every is None else every
    return step > 0 and (epoch == epochs or epoch % step == 0)
