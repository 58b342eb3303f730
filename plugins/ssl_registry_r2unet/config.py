"""Settings of R2U-Net's two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class R2EncoderConfig(ComponentConfig):
    """Settings of `r2_encoder`.

    Alom, Hasan, Yakopcic, Taha and Asari, Recurrent Residual Convolutional Neural Network based
    on U-Net (R2U-Net) for Medical Image Segmentation, 2018, arXiv:1802.06955.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (4, 6, 8, 10, 12)}

    name: str = "r2_encoder"
    widths: tuple[Width, ...] = Field(
        default=(64, 128, 256, 512, 1024),
        min_length=2,
        description="Channels per level, finest first; each level halves the one before.",
    )
    recurrences: int = Field(
        default=2, ge=0, description="How often a convolution is applied to its own output (t)."
    )


class R2UNetConfig(ComponentConfig):
    """Settings of `r2unet`.

    Alom, Hasan, Yakopcic, Taha and Asari, Recurrent Residual Convolutional Neural Network based
    on U-Net (R2U-Net) for Medical Image Segmentation, 2018, arXiv:1802.06955.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "r2unet"
    widths: tuple[Width, ...] = Field(
        default=(512, 256, 128, 64, 64),
        min_length=1,
        description=(
            "Channels after each step, coarsest first; as many are used as there are steps to the "
            "image's size (4 for r2_encoder, 5 for a ResNet)."
        ),
    )
    recurrences: int = Field(
        default=2, ge=0, description="How often a convolution is applied to its own output (t)."
    )
