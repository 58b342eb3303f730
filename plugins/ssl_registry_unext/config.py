"""Settings of UNeXt's two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig

# Channels are divided into five groups, which are shifted by different distances.
Width = Annotated[int, Field(ge=5)]


class UNeXtEncoderConfig(ComponentConfig):
    """Settings of `unext_encoder`.

    Valanarasu and Patel, UNeXt: MLP-based Rapid Medical Image Segmentation Network, MICCAI 2022,
    arXiv:2203.04967.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {
        "conv_widths": (4, 6, 8),
        "token_widths": (10, 12),
    }

    name: str = "unext_encoder"
    conv_widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(16, 32, 128),
        min_length=1,
        description="Channels of the convolutional stages, finest first; each halves the size.",
    )
    token_widths: tuple[Width, ...] = Field(
        default=(160, 256),
        min_length=1,
        description="Channels of the tokenised stages after them; each halves the size.",
    )


class UNeXtConfig(ComponentConfig):
    """Settings of `unext`. Its widths are the backbone's, because skips are added.

    Valanarasu and Patel, UNeXt: MLP-based Rapid Medical Image Segmentation Network, MICCAI 2022,
    arXiv:2203.04967.
    """

    name: str = "unext"
    token_steps: int = Field(
        default=2,
        ge=0,
        description="How many steps, from the coarsest, end with a tokenised MLP.",
    )
