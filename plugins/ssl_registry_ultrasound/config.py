"""Settings of the augmentation `ultrasound`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ssl_registry import ComponentConfig

Share = Annotated[float, Field(ge=0, le=1)]


class UltrasoundAugmentationConfig(ComponentConfig):
    """Settings of the augmentation `ultrasound`.

    Strengths are chosen so that two views of an image differ as two acquisitions of the same
    tissue do. The recipes for photographs get most of their strength from colour, which gray
    images do not have; what varies here instead is gain, its change with depth, dynamic range and
    speckle.
    """

    name: str = "ultrasound"
    rotation: float = Field(
        default=10.0,
        ge=0,
        le=45,
        description="Largest tilt to either side, degrees: a probe is held at varying angles.",
    )
    crop_scale: tuple[Share, Share] = Field(
        default=(0.2, 1.0),
        description="Smallest and largest area of a crop, as a share. Lesions are small: SimCLR's "
        "0.08 would often miss them.",
    )
    crop_ratio: tuple[float, float] = Field(
        default=(3 / 4, 4 / 3), description="Smallest and largest width / height of a crop."
    )
    flip: Share = Field(
        default=0.5,
        description="Probability of a left-right flip. There is no up-down flip: skin is at the "
        "top, and shadows fall downwards.",
    )
    depth_gain: Share = Field(
        default=0.3,
        description="Largest relative change of the gain at a depth, in place of that which the "
        "sonographer sets by sliders (time gain compensation).",
    )
    depth_sliders: int = Field(
        default=6, ge=2, description="Depths whose gain is drawn; between them it is interpolated."
    )
    gamma: float = Field(
        default=1.5,
        ge=1,
        description="Largest exponent on intensities, and inverse of the smallest: dynamic range "
        "and gray map differ between machines. 1 leaves them as they are.",
    )
    jitter: Share = Field(
        default=0.8, description="Probability of changing brightness and contrast."
    )
    brightness: float = Field(
        default=0.4, ge=0, description="Strength of brightness jitter: the overall gain."
    )
    contrast: float = Field(default=0.4, ge=0, description="Strength of contrast jitter.")
    speckle: Share = Field(default=0.5, description="Probability of additional speckle.")
    speckle_strength: tuple[float, float] = Field(
        default=(0.05, 0.2),
        description="Smallest and largest standard deviation of the factor that speckle "
        "multiplies intensities with.",
    )
    speckle_size: tuple[float, float] = Field(
        default=(0.5, 1.5),
        description="Smallest and largest sigma of a speckle grain, px of the view: speckle is "
        "correlated over the resolution cell, unlike pixel noise.",
    )
    blur: Share = Field(
        default=0.5,
        description="Probability of Gaussian blur: resolution differs with frequency and focus.",
    )
    blur_sigma: tuple[float, float] = Field(
        default=(0.002, 0.01),
        description="Smallest and largest sigma of the blur, as a share of the view's side: at "
        "most 0.3 px at 32 px, where there is no detail to spare, 0.6 at 64 and 2.2 at 224.",
    )
    backend: Literal["fast", "kornia"] = Field(
        default="fast",
        description="What tilts, crops, flips, jitters and blurs. fast: operations on whole "
        "batches, with antialiased crops. kornia: kornia's modules, whose crop is not antialiased.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("crop_scale", "crop_ratio", "speckle_strength", "speckle_size", "blur_sigma"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise ValueError(f"{key} needs 0 < smallest <= largest, not {low} and {high}")
        if self.speckle_size[1] > 10:
            raise ValueError("speckle_size is at most 10 px: larger grains are no speckle")
        if self.blur_sigma[1] > 0.1:
            raise ValueError("blur_sigma is a share of the view's side, at most 0.1")
        return self
