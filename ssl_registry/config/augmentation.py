"""Settings that the augmentations of contrastive methods share."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ssl_registry.config.model import ComponentConfig

Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0)]
Backend = Literal["fast", "kornia"]
BACKEND_DESCRIPTION = (
    "What does the work. fast: batched matrices and blends, equal to torchvision within 1e-3, "
    "several times as fast. kornia: kornia's modules, whose crop is not antialiased."
)


class ContrastiveAugmentationConfig(ComponentConfig):
    """Crop, flip, colour jitter, grayscale and blur; the defaults are those of MoCo v2.

    An augmentation plugin subclasses it, gives `name` a default, and other defaults where its
    paper has them (He et al. 2020; Chen et al. 2020, arXiv:2003.04297).
    """

    crop_scale: tuple[Share, Share] = Field(
        default=(0.2, 1.0), description="Smallest and largest area of a crop, as a share."
    )
    crop_ratio: tuple[float, float] = Field(
        default=(3 / 4, 4 / 3), description="Smallest and largest width / height of a crop."
    )
    flip: Share = Field(default=0.5, description="Probability of a left-right flip.")
    jitter: Share = Field(default=0.8, description="Probability of colour jitter.")
    brightness: Strength = Field(default=0.4, description="Strength of brightness jitter.")
    contrast: Strength = Field(default=0.4, description="Strength of contrast jitter.")
    saturation: Strength = Field(
        default=0.4, description="Strength of saturation jitter; left out for one channel."
    )
    hue: float = Field(
        default=0.1, ge=0, le=0.5, description="Strength of hue jitter; left out for one channel."
    )
    grayscale: Share = Field(
        default=0.2, description="Probability of dropping colour; left out for one channel."
    )
    blur: Share = Field(
        default=0.5, description="Probability of Gaussian blur; 0 is usual for 32 px."
    )
    blur_sigma: tuple[float, float] = Field(
        default=(0.1, 2.0), description="Smallest and largest sigma of the blur, px."
    )
    backend: Backend = Field(default="fast", description=BACKEND_DESCRIPTION)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise ValueError(f"{key} needs 0 < smallest <= largest, not {low} and {high}")
        return self
