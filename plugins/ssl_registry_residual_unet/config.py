"""Settings of the residual U-Net's two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class ResidualEncoderConfig(ComponentConfig):
    """Settings of `residual_encoder`.

    Zhang, Liu and Wang, Road Extraction by Deep Residual U-Net, GRSL 2018, arXiv:1711.10684;
    Kerfoot et al., Left-Ventricle Quantification Using Residual U-Net, STACOM 2018.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (4, 6, 8, 10, 12)}

    name: str = "residual_encoder"
    widths: tuple[Width, ...] = Field(
        default=(64, 128, 256, 512, 1024),
        min_length=2,
        description=(
            "Channels per residual unit, finest first; each but the last halves the size, and the "
            "last is joined with the one before."
        ),
    )


class ResidualUNetConfig(ComponentConfig):
    """Settings of `residual_unet`.

    Zhang, Liu and Wang, Road Extraction by Deep Residual U-Net, GRSL 2018, arXiv:1711.10684;
    Kerfoot et al., Left-Ventricle Quantification Using Residual U-Net, STACOM 2018.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "residual_unet"
    widths: tuple[Width, ...] = Field(
        default=(256, 128, 64, 32, 32),
        min_length=1,
        description=(
            "Channels of each step before its skip is joined, coarsest first; as many are used as "
            "there are steps to the image's size (4 for residual_encoder, 5 for a ResNet)."
        ),
    )
