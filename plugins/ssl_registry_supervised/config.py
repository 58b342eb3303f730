"""Settings of the supervised task."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ssl_registry import ComponentConfig


class SupervisedConfig(ComponentConfig):
    """Settings of `supervised`."""

    name: str = "supervised"
    bce_weight: float = Field(
        default=0.5,
        ge=0,
        description="Weight of binary cross entropy (of cross entropy for exclusive classes).",
    )
    dice_weight: float = Field(default=1.0, ge=0, description="Weight of the soft Dice loss.")
    dice: Literal["image", "batch"] = Field(
        default="image",
        description="Dice of each image, averaged; or over the batch's pixels together.",
    )
    smooth: float = Field(
        default=1e-5, gt=0, description="Added to Dice's numerator and denominator."
    )
    augment: Literal["none", "light"] = Field(
        default="none",
        description="light: flip, rotation to 15 degrees, scale 0.9-1.1, brightness, contrast.",
    )
    freeze_encoder: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Share of the run during which the encoder's weights and BatchNorm statistics stay "
            "as they are: 0 never, 1 always, between them the first part of the run."
        ),
    )
    encoder_rate: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Factor on the learning rate of the encoder (discriminative rates).",
    )

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if self.bce_weight == 0 and self.dice_weight == 0:
            raise ValueError("bce_weight and dice_weight are both 0: nothing would be learnt")
        return self
