"""Settings of SimCLR and of its augmentation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ssl_registry import ContrastiveAugmentationConfig, MethodConfig

Share = Annotated[float, Field(ge=0, le=1)]


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


class SimCLRAugmentationConfig(ContrastiveAugmentationConfig):
    """Settings of the augmentation `simclr`; the defaults are the paper's for ImageNet."""

    name: str = "simclr"
    crop_scale: tuple[Share, Share] = Field(
        default=(0.08, 1.0), description="Smallest and largest area of a crop, as a share."
    )
    jitter_strength: float = Field(
        default=1.0, ge=0, description="Scales the four strengths of jitter (s in the paper)."
    )
    brightness: float = Field(default=0.8, ge=0, description="Strength of brightness jitter.")
    contrast: float = Field(default=0.8, ge=0, description="Strength of contrast jitter.")
    saturation: float = Field(
        default=0.8, ge=0, description="Strength of saturation jitter; left out for one channel."
    )
    hue: float = Field(
        default=0.2,
        ge=0,
        description="Strength of hue jitter; at most 0.5 in all; left out for one channel.",
    )

    @model_validator(mode="after")
    def _hue_on_the_circle(self) -> Self:
        if self.hue * self.jitter_strength > 0.5:
            raise ValueError("hue * jitter_strength must be at most 0.5, half the colour circle")
        return self
