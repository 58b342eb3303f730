"""The config of a comparison: with and without pre-training, over seeds."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.strict import StrictModel


class ComparisonConfig(StrictModel):
    """An experiment: one pre-training, then fine-tuning with and without it over seeds."""

    title: str = Field(description="Heading of the report.")
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(0, 1, 2), min_length=1, description="Seeds of the fine-tunings, for each arm."
    )

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds must differ, not {list(self.seeds)}")
        return self
