"""Settings of the UNet 3+ decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig


class UNet3PlusConfig(ComponentConfig):
    """Settings of `unet3plus`.

    Huang et al., UNet 3+: A Full-Scale Connected UNet for Medical Image Segmentation, ICASSP
    2020, arXiv:2004.08790.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"width": 4}

    name: str = "unet3plus"
    width: int = Field(
        default=64,
        ge=1,
        description="Channels that each scale is brought to; a level has as many times the scales.",
    )
