"""Settings of SimSiam and of its augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from ssl_registry import ContrastiveAugmentationConfig, MethodConfig


class SimSiamConfig(MethodConfig):
    """Settings of `simsiam`; the defaults are the paper's for ResNet-50."""

    default_augmentation: ClassVar[str] = "simsiam"
    check_settings: ClassVar[Mapping[str, Any]] = {
        "projection_dim": 32,
        "hidden_dim": 32,
        "prediction_hidden_dim": 8,
    }

    name: str = "simsiam"
    projection_dim: int = Field(default=2048, ge=1, description="Length of z and p (d).")
    hidden_dim: int = Field(default=2048, ge=1, description="Hidden width of the projector.")
    projection_layers: Literal[2, 3] = Field(
        default=3, description="Linear layers of the projector; the paper takes 2 for CIFAR."
    )
    prediction_hidden_dim: int = Field(
        default=512, ge=1, description="Width of the predictor's bottleneck."
    )
    constant_predictor_rate: bool = Field(
        default=True,
        description="The predictor's learning rate stays at its peak, outside the schedule.",
    )
    decay_biases_and_norms: bool = Field(
        default=True, description="Weight decay on all parameters, as in the official code."
    )


class SimSiamAugmentationConfig(ContrastiveAugmentationConfig):
    """Settings of the augmentation `simsiam`; the defaults are the paper's for ImageNet."""

    name: str = "simsiam"
