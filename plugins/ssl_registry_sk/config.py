"""Settings of the selective-kernel U-Net's two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class SKEncoderConfig(ComponentConfig):
    """Settings of `sk_encoder`.

    Byra et al., Breast mass segmentation in ultrasound with selective kernel U-Net convolutional
    neural network, Biomedical Signal Processing and Control 2020.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (4, 6, 8, 10, 12)}

    name: str = "sk_encoder"
    widths: tuple[Width, ...] = Field(
        default=(16, 32, 64, 128, 256),
        min_length=2,
        description="Channels per level, finest first; each level halves the one before.",
    )
    compression: float = Field(
        default=0.5, gt=0, le=1, description="Share of the channels inside a block's attention."
    )


class SKUNetConfig(ComponentConfig):
    """Settings of `sk_unet`.

    Byra et al., Breast mass segmentation in ultrasound with selective kernel U-Net convolutional
    neural network, Biomedical Signal Processing and Control 2020.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "sk_unet"
    widths: tuple[Width, ...] = Field(
        default=(128, 64, 32, 16, 16),
        min_length=1,
        description=(
            "Channels after each step, coarsest first; as many are used as there are steps to the "
            "image's size (4 for sk_encoder, 5 for a ResNet)."
        ),
    )
    compression: float = Field(
        default=0.5, gt=0, le=1, description="Share of the channels inside a block's attention."
    )
