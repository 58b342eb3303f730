"""Settings of MultiResUNet's two halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ssl_registry import ComponentConfig

Width = Annotated[int, Field(ge=1)]


class MultiResEncoderConfig(ComponentConfig):
    """Settings of `multires_encoder`.

    Ibtehaz and Rahman, MultiResUNet: Rethinking the U-Net Architecture for Multimodal Biomedical
    Image Segmentation, Neural Networks 2020, arXiv:1902.04049.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (4, 6, 8, 10, 12)}

    name: str = "multires_encoder"
    widths: tuple[Width, ...] = Field(
        default=(32, 64, 128, 256, 512),
        min_length=2,
        description=(
            "U in the paper: channels per level of the U-Net that this one matches, finest first; "
            "a level has about alpha times as many."
        ),
    )
    alpha: float = Field(default=1.67, gt=0, description="Channels of a block, as a multiple of U.")


class MultiResUNetConfig(ComponentConfig):
    """Settings of `multiresunet`.

    Ibtehaz and Rahman, MultiResUNet: Rethinking the U-Net Architecture for Multimodal Biomedical
    Image Segmentation, Neural Networks 2020, arXiv:1902.04049.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {"widths": (10, 8, 6, 4, 4)}

    name: str = "multiresunet"
    widths: tuple[Width, ...] = Field(
        default=(256, 128, 64, 32, 32),
        min_length=1,
        description=(
            "U in the paper, coarsest first: channels of the upsampled map; a step gives about "
            "alpha times as many. As many are used as there are steps to the image's size (4 for "
            "multires_encoder, 5 for a ResNet)."
        ),
    )
    alpha: float = Field(default=1.67, gt=0, description="Channels of a block, as a multiple of U.")
    narrow_paths: bool = Field(
        default=False,
        description=(
            "A residual path brings its skip to U channels, as in the paper's table 1; otherwise "
            "it keeps the skip's channels, as in the authors' PyTorch network."
        ),
    )
