"""What pre-training and fine-tuning runs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ssl_registry.config.model import ComponentConfig, DatasetConfig, component
from ssl_registry.config.presets import KEY, with_presets
from ssl_registry.config.strict import StrictModel
from ssl_registry.errors import UserError

Backbone = Annotated[SerializeAsAny[ComponentConfig], component("backbone")]
Decoder = Annotated[SerializeAsAny[ComponentConfig], component("decoder")]
Dataset = Annotated[SerializeAsAny[DatasetConfig], component("dataset")]

Scope = Literal["encoder", "encoder_decoder"]


class NormalizationConfig(StrictModel):
    """Mean and standard deviation per channel, of images in [0, 1]."""

    mean: tuple[float, ...] = Field(
        default=(0.485, 0.456, 0.406), description="Mean per channel; one value serves all."
    )
    std: tuple[float, ...] = Field(
        default=(0.229, 0.224, 0.225), description="Standard deviation per channel."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise ValueError("mean and std need 1 or 3 values each, and equally many")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    def for_channels(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std with exactly `channels` values; three are averaged into one."""
        if len(self.mean) == channels:
            return self.mean, self.std
        if channels == 1:
            return (sum(self.mean) / 3,), (sum(self.std) / 3,)
        return self.mean * channels, self.std * channels


class RunConfig(StrictModel):
    """What pre-training and fine-tuning have in common.

    `section` names the table of a preset that is for this kind of config.
    """

    section: ClassVar[str]

    seed: int = Field(default=0, ge=0, description="Seed of initial weights, order, augmentation.")
    image_size: int = Field(default=64, ge=8, le=2048, description="Side of the square input, px.")
    channels: Literal[1, 3] = Field(
        default=3, description="Channels the network sees; gray images are repeated for 3."
    )
    normalization: NormalizationConfig = Field(
        default_factory=NormalizationConfig, description="Applied to images in [0, 1]."
    )
    preset: tuple[str, ...] = Field(
        default=(),
        exclude=True,
        description="Presets that this config is laid over, in this order; a name or a list.",
    )

    # A wrap validator, because it must come before those that run before (PretrainConfig has one).
    @model_validator(mode="wrap")
    @classmethod
    def _over_presets(cls, table: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Lay the config over the presets it names."""
        if not isinstance(table, Mapping) or not table.get(KEY):
            return handler(table)
        try:
            merged = with_presets(table, cls.section).table
        except UserError as error:
            mistake = PydanticCustomError("preset", "{message}", {"message": str(error)})
            details = InitErrorDetails(type=mistake, loc=(KEY,), input=table[KEY])
            raise ValidationError.from_exception_data(cls.__name__, [details]) from error
        return handler(merged)
