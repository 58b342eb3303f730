"""Settings of the U-Net's halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class UNetEncoderConfig(ComponentConfig):
    """Settings of `unet_encoder`.

    Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image
    Segmentation, MICCAI 2015, arXiv:1505.04597.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (4, 6, 8, 10, 12)}

    name: str = "unet_encoder"
    widths: tuple[Width, ...] = Field(
        default=(64, 128, 256, 512, 1024),
        min_length=2,
        description="Channels per level, finest first; each level halves the one before.",
    )


class UNetDecoderConfig(ComponentConfig):
    """Settings of `unet`.

    Ronneberger, Fischer and Brox, U-Net: Convolutional Networks for Biomedical Image
    Segmentation, MICCAI 2015, arXiv:1505.04597.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "unet"
    widths: tuple[Width, ...] = Field(
        default=(512, 256, 128, 64, 64),
        min_length=1,
        description=(
            "Channels after each step, coarsest first; as many are used as there are steps to the "
            "image's size (4 for unet_encoder, 5 for a ResNet)."
        ),
    )
    upsampling: Literal["transposed", "nearest"] = Field(
        default="transposed",
        description="2x2 transposed convolution, or nearest neighbour and a 3x3 convolution.",
    )


class InterpolatingDecoderConfig(ComponentConfig):
    """Settings of `smp_unet`.

    Iakubovskii, Segmentation Models PyTorch, 2019,
    https://github.com/qubvel-org/segmentation_models.pytorch; after Ronneberger, Fischer and Brox,
    MICCAI 2015, arXiv:1505.04597.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "smp_unet"
    widths: tuple[Width, ...] = Field(
        default=(256, 128, 64, 32, 16),
        min_length=1,
        description=(
            "Channels after each step, coarsest first; as many are used as there are steps to the "
            "image's size (5 for a ResNet)."
        ),
    )
