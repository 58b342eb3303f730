"""Settings of MoCo and of its augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ssl_registry import ContrastiveAugmentationConfig, MethodConfig


class MoCoConfig(MethodConfig):
    """Settings of `moco`; the defaults are v2's, with a momentum and a queue for small sets.

    Version 1 is `projection_layers = 1`, `temperature = 0.07` and the augmentation `moco_v1`.
    """

    default_augmentation: ClassVar[str] = "moco_v2"
    check_settings: ClassVar[Mapping[str, Any]] = {"bn_splits": 2}

    name: str = "moco"
    temperature: float = Field(
        default=0.2, gt=0, description="Divides the cosine similarities (tau in the paper)."
    )
    momentum: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="Share of the key encoder that each step keeps (m in the paper). ImageNet's "
        "0.999 halves the distance in 693 steps, 0.99 in 69.",
    )
    momentum_schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="cosine: the momentum rises to `final_momentum` over the run.",
    )
    final_momentum: float = Field(
        default=0.999, ge=0, le=1, description="Momentum at the end of the cosine schedule."
    )
    queue_length: int | None = Field(
        default=None,
        ge=1,
        description="Keys in the queue (K in the paper); default: the largest power of two that "
        "is at most `queue_share` times the number of images, and at most 4096.",
    )
    queue_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Keys per image for the default `queue_length`; a longer queue would hold "
        "several keys of each image, which are no true negatives.",
    )
    projection_dim: int = Field(default=128, ge=1, description="Length of queries and keys.")
    hidden_dim: int | None = Field(
        default=None, ge=1, description="Hidden width of the head; default: the embedding's length."
    )
    projection_layers: int = Field(
        default=2, ge=1, description="Linear layers of the head: 2 in v2, 1 in v1."
    )
    symmetric: bool = Field(
        default=False,
        description="Use each view as query and as key, and take the mean of both losses.",
    )
    mask_same_image: bool = Field(
        default=False,
        description="Leave earlier keys of the query's own image out of its negatives; with a "
        "small set the queue holds many of them.",
    )
    batch_norm: Literal["split", "plain"] = Field(
        default="split",
        description="split: batch normalisation over parts of the batch, of shuffled images for "
        "the keys, so that statistics do not give the key away; plain: over the whole batch.",
    )
    bn_splits: int = Field(
        default=8,
        ge=1,
        description="Parts of a batch for `batch_norm = 'split'`; must divide it. Several "
        "processes share them: their number must divide the parts.",
    )
    decay_biases_and_norms: bool = Field(
        default=True, description="Weight decay on all parameters, as in the official code."
    )

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.momentum_schedule == "cosine" and self.final_momentum < self.momentum:
            raise ValueError(
                f"final_momentum = {self.final_momentum} is below momentum = {self.momentum}"
            )
        return self


class MoCoV2AugmentationConfig(ContrastiveAugmentationConfig):
    """Settings of the augmentation `moco_v2`; the defaults are the paper's for ImageNet."""

    name: str = "moco_v2"


class MoCoV1AugmentationConfig(ContrastiveAugmentationConfig):
    """Settings of the augmentation `moco_v1`; the defaults are the paper's for ImageNet."""

    name: str = "moco_v1"
    jitter: float = Field(default=1.0, ge=0, le=1, description="Probability of colour jitter.")
    hue: float = Field(
        default=0.4, ge=0, le=0.5, description="Strength of hue jitter; left out for one channel."
    )
    blur: float = Field(
        default=0.0, ge=0, le=1, description="Probability of Gaussian blur; v1 has none."
    )
