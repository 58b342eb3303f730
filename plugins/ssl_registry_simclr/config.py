"""Settings of SimCLR and of its augmentation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ssl_registry import ComponentConfig, MethodConfig

Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0)]


class SimCLRConfig(MethodConfig):
    """Settings of `simclr`."""

    default_augmentation: ClassVar[str] = "simclr"

    name: str = "simclr"
    temperature: float = Field(
        default=0.5, gt=0, description="Divides the cosine similarities (tau in the paper)."
    )
    projection_dim: int = Field(default=128, ge=1, description="Length of z.")
    hidden_dim: int | None = Field(
        default=None, ge=1, description="Hidden width of the head; default: the embedding's length."
    )
    projection_layers: int = Field(default=2, ge=1, description="Linear layers of the head.")
    projection_batch_norm: bool = Field(
        default=False,
        description="Batch normalisation after each layer of the head, the last without a shift.",
    )


class SimCLRAugmentationConfig(ComponentConfig):
    """Settings of the augmentation `simclr`; the defaults are the paper's for ImageNet."""

    name: str = "simclr"
    crop_scale: tuple[Share, Share] = Field(
        default=(0.08, 1.0), description="Smallest and largest area of a crop, as a share."
    )
    crop_ratio: tuple[float, float] = Field(
        default=(3 / 4, 4 / 3), description="Smallest and largest width / height of a crop."
    )
    flip: Share = Field(default=0.5, description="Probability of a left-right flip.")
    jitter: Share = Field(default=0.8, description="Probability of colour jitter.")
    jitter_strength: Strength = Field(
        default=1.0, description="Scales the four strengths below (s in the paper)."
    )
    brightness: Strength = Field(default=0.8, description="Strength of brightness jitter.")
    contrast: Strength = Field(default=0.8, description="Strength of contrast jitter.")
    saturation: Strength = Field(default=0.8, description="Strength of saturation jitter.")
    hue: Strength = Field(default=0.2, description="Strength of hue jitter; at most 0.5 in all.")
    grayscale: Share = Field(default=0.2, description="Probability of dropping colour.")
    blur: Share = Field(
        default=0.5, description="Probability of Gaussian blur; SimCLR takes 0 for 32 px."
    )
    blur_sigma: tuple[float, float] = Field(
        default=(0.1, 2.0), description="Smallest and largest sigma of the blur, px."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key in ("crop_scale", "crop_ratio", "blur_sigma"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise ValueError(f"{key} needs 0 < smallest <= largest, not {low} and {high}")
        if self.hue * self.jitter_strength > 0.5:
            raise ValueError("hue * jitter_strength must be at most 0.5, half the colour circle")
        return self
