"""The settings of `ssl-registry weights import`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ssl_registry.config.run import Backbone, NormalizationConfig
from ssl_registry.config.strict import StrictModel


class ImportConfig(StrictModel):
    """What weights from elsewhere are, where their file does not say it."""

    backbone: Backbone = Field(description="The encoder they belong to.")
    channels: Literal[1, 3] = Field(
        default=3, description="Channels of the images; the first kernels are adapted to it."
    )
    image_size: int | None = Field(
        default=None, ge=8, le=2048, description="Side of the images they were trained on, px."
    )
    normalization: NormalizationConfig | None = Field(
        default=None, description="Mean and std that images in [0, 1] were normalised with."
    )
    licence: str | None = Field(
        default=None,
        pattern=r"^[^\s\x00-\x1f][^\x00-\x1f\x7f]{0,199}$",
        description="Licence of the weights, such as an SPDX name.",
    )
    entry: str | None = Field(
        default=None, description="Entry of the checkpoint that holds the tensors."
    )
    allow_missing: tuple[str, ...] = Field(
        default=(), description="Patterns of tensors the file may lack, such as backbone.layer4.*."
    )
