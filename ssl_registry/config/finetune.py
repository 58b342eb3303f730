"""The config of a fine-tuning run."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from ssl_registry.config.model import ComponentConfig, component
from ssl_registry.config.path import UserPath
from ssl_registry.config.run import Backbone, Dataset, Decoder, RunConfig, Scope
from ssl_registry.config.training import FinetuningConfig

Task = Annotated[SerializeAsAny[ComponentConfig], component("task", default="supervised")]


class FinetuneConfig(RunConfig):
    """A fine-tuning run: a segmentation network learns from few or many labelled images."""

    section: ClassVar[str] = "finetune"

    backbone: Backbone = Field(description="The encoder.")
    decoder: Decoder = Field(description="The decoder over the encoder's feature pyramid.")
    task: Task = Field(
        default="supervised",
        validate_default=True,
        description="What is optimised.",
    )
    data: Dataset = Field(description="The labelled dataset.")
    fraction: float = Field(
        default=1.0, gt=0, le=1, description="Share of the training labels; nested, stratified."
    )
    weights: UserPath | None = Field(
        default=None, description="Folder of pre-trained weights; none: random initial weights."
    )
    scope: Scope = Field(
        default="encoder", description="What is taken from `weights`; the rest starts fresh."
    )
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Probability above which a pixel is foreground."
    )
    selection: Literal["dice/lesion", "dice/all_empty1"] = Field(
        default="dice/all_empty1",
        description=(
            "The validation score whose best epoch is kept: over lesions alone, or over all "
            "images, where an empty truth counts 1 if nothing is predicted and else 0."
        ),
    )
    validation_epochs: int = Field(
        default=1, ge=1, description="Validate every so many epochs, and after the last."
    )
    check_leaks: bool = Field(
        default=True,
        description="Look for near-duplicates, and groups, that lie in train and in another part, "
        "and warn of them.",
    )
    training: FinetuningConfig = Field(default_factory=FinetuningConfig)

    @model_validator(mode="after")
    def _unweighted(self) -> Self:
        if self.data.weight != 1:
            raise ValueError("data.weight is for mixing datasets in pre-training; leave it out")
        return self
