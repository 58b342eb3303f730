"""Settings of the Attention U-Net decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=2)]


class AttentionUNetConfig(ComponentConfig):
    """Settings of `attention_unet`.

    Oktay et al., Attention U-Net: Learning Where to Look for the Pancreas, MIDL 2018,
    arXiv:1804.03999.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "attention_unet"
    widths: tuple[Width, ...] = Field(
        default=(512, 256, 128, 64, 64),
        min_length=1,
        description=(
            "Channels after each step, coarsest first; as many are used as there are steps to the "
            "image's size (4 for unet_encoder, 5 for a ResNet). A gate has half of them inside."
        ),
    )
    upsampling: Literal["transposed", "nearest"] = Field(
        default="nearest",
        description="2x2 transposed convolution, or nearest neighbour and a 3x3 convolution.",
    )
