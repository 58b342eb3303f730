"""Settings of the U-Net++ decoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class UNetPlusPlusConfig(ComponentConfig):
    """Settings of `unetplusplus`.

    Zhou, Siddiquee, Tajbakhsh and Liang, UNet++: A Nested U-Net Architecture for Medical Image
    Segmentation, DLMIA 2018, arXiv:1807.10165.
    """

    name: str = "unetplusplus"
    widths: tuple[Width, ...] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Channels of the nodes per level, finest first, for each level but the coarsest; "
            "unset, they are the backbone's own, as published. A ResNet-50's are wide: set them."
        ),
    )
