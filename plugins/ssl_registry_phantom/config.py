"""Settings of the generated ultrasound dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ssl_registry import DatasetConfig, SplitConfig

Organ = Literal["breast", "heart", "lung"]


class PhantomConfig(DatasetConfig):
    """Which images are generated; nothing is downloaded or read from disk."""

    check_settings: ClassVar[Mapping[str, Any]] = {"images_per_organ": 10, "size": 48}

    name: str = "phantom"
    organs: tuple[Organ, ...] = Field(
        default=("breast", "heart", "lung"),
        min_length=1,
        description="Organs to generate; only breast images have lesions and masks.",
    )
    images_per_organ: int = Field(default=200, ge=1, description="Images of each organ.")
    size: int = Field(
        default=160, ge=48, le=1024, description="Side of the square generated image, px."
    )
    seed: int = Field(default=0, ge=0, description="Seed of every image; another seed, other ones.")
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="stratified", ratios=(0.7, 0.1, 0.2)),
        description="How samples are divided into train, val and test.",
    )

    @model_validator(mode="after")
    def _organs_once(self) -> Self:
        if len(set(self.organs)) != len(self.organs):
            raise ValueError("organs names one organ twice")
        return self
