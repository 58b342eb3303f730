"""The config of a pre-training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from ssl_registry.config.model import ComponentConfig, MethodConfig, component
from ssl_registry.config.monitoring import MonitoringConfig
from ssl_registry.config.probes import AnyProbeConfig, check_titles
from ssl_registry.config.run import Backbone, Dataset, Decoder, RunConfig, Scope
from ssl_registry.config.split import Part
from ssl_registry.config.training import PretrainingConfig

METHOD = component("method")
Method = Annotated[SerializeAsAny[MethodConfig], METHOD]
Augmentation = Annotated[SerializeAsAny[ComponentConfig], component("augmentation")]
Mixing = Literal["concatenate", "balanced"]


class PretrainConfig(RunConfig):
    """A pre-training run: a method trains a backbone, or a backbone and decoder, on images."""

    section: ClassVar[str] = "pretrain"

    method: Method = Field(description="The self-supervised method.")
    backbone: Backbone = Field(description="The encoder.")
    decoder: Decoder | None = Field(
        default=None, description="If given, encoder and decoder are pre-trained together."
    )
    augmentation: Augmentation | None = Field(
        default=None, description="Makes the views; default: the one the method names."
    )
    data: tuple[Dataset, ...] = Field(min_length=1, description="The datasets that are mixed.")
    parts: tuple[Part, ...] = Field(
        default=("train",), min_length=1, description="Parts of each split that are trained on."
    )
    mixing: Mixing = Field(
        default="concatenate",
        description="concatenate: an epoch shows each image as often as its dataset's `weight` "
        "says, once by default. balanced: an epoch is as long, but datasets take part in "
        "proportion to their weights, equally by default, whatever their sizes.",
    )
    expected_images: Mapping[Part, int] = Field(
        default_factory=dict,
        description="Images that each part should have over all datasets, such as "
        "{train = 2553, val = 299}; a run with other counts warns.",
    )
    cache_size: int | None = Field(
        default=None,
        ge=8,
        description="Side of the cached images that crops are cut from; default: twice "
        "image_size, so that a crop of a quarter of the area or more is not enlarged.",
    )
    training: PretrainingConfig = Field(default_factory=PretrainingConfig)
    monitoring: MonitoringConfig = Field(
        default_factory=MonitoringConfig, description="What the run watches of itself."
    )
    probes: tuple[AnyProbeConfig, ...] = Field(
        default=(), description="Evaluations on labelled images, during the run and at its end."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_augmentation(cls, table: Any) -> Any:
        """Take the augmentation that the method names, where the config names none."""
        if not isinstance(table, Mapping) or table.get("augmentation") is not None:
            return table
        method = table.get("method")
        try:
            model = type(method) if isinstance(method, MethodConfig) else METHOD.model_of(method)
        except PydanticCustomError:
            return table  # the field itself says what is wrong with the method
        name = getattr(model, "default_augmentation", "")
        return {**table, "augmentation": name} if name else table

    @model_validator(mode="after")
    def _probes_differ(self) -> Self:
        check_titles(self.probes)
        return self

    @property
    def stored_size(self) -> int:
        """Side of the cached images, px."""
        return self.cache_size or 2 * self.image_size

    @property
    def scope(self) -> Scope:
        """What is pre-trained."""
        return "encoder" if self.decoder is None else "encoder_decoder"
