"""The configs of runs: pre-training, fine-tuning, and the comparison of arms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from ssl_registry.config.model import ComponentConfig, DatasetConfig, MethodConfig, component
from ssl_registry.config.split import Part
from ssl_registry.config.strict import StrictModel

METHOD = component("method")
Method = Annotated[SerializeAsAny[MethodConfig], METHOD]
Backbone = Annotated[SerializeAsAny[ComponentConfig], component("backbone")]
Decoder = Annotated[SerializeAsAny[ComponentConfig], component("decoder")]
Augmentation = Annotated[SerializeAsAny[ComponentConfig], component("augmentation")]
Dataset = Annotated[SerializeAsAny[DatasetConfig], component("dataset")]
Task = Annotated[SerializeAsAny[ComponentConfig], component("task")]

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


class OptimizerConfig(StrictModel):
    """The optimizer and its schedule; the rate is multiplied by a cosine after warm-up."""

    name: Literal["adam", "adamw", "sgd", "lars"] = Field(
        default="adam", description="Which optimizer."
    )
    learning_rate: float = Field(default=3e-4, gt=0, description="Peak rate.")
    final_learning_rate: float = Field(
        default=0.0, ge=0, description="Rate the cosine ends at, after the last step."
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd and lars.")
    trust_coefficient: float = Field(
        default=0.001, gt=0, description="How far lars moves a layer, relative to its norm (eta)."
    )
    warmup_epochs: float = Field(default=0, ge=0, description="Epochs of linear warm-up from 0.")


class TrainingConfig(StrictModel):
    """How long and on what a loop trains; shared by pre-training and fine-tuning."""

    epochs: int = Field(default=100, ge=1, description="Epochs over the training images.")
    optimizer: OptimizerConfig = Field(
        default_factory=OptimizerConfig, description="Optimizer and schedule."
    )
    max_steps: int | None = Field(
        default=None, ge=1, description="Stop after this many steps, also in mid-epoch."
    )
    batch_size: int = Field(default=256, ge=1, description="Images per step.")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="auto takes bf16 autocast on CUDA devices that have it, else fp32.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of torch; default: torch's own choice."
    )
    checkpoint_seconds: float = Field(
        default=60.0,
        ge=0,
        description="Write a resume checkpoint at most this often; 0: each step.",
    )


class PretrainingOptimizerConfig(OptimizerConfig):
    """Defaults for contrastive pre-training on one device: Adam with warm-up."""

    warmup_epochs: float = Field(default=10, ge=0, description="Epochs of linear warm-up from 0.")


class FinetuningOptimizerConfig(OptimizerConfig):
    """Defaults of the study's fine-tuning: Adam at 1e-4, down to 1e-5."""

    learning_rate: float = Field(default=1e-4, gt=0, description="Peak rate.")
    final_learning_rate: float = Field(
        default=1e-5, ge=0, description="Rate the cosine ends at, after the last step."
    )
    weight_decay: float = Field(default=1e-6, ge=0, description="Weight decay.")


class PretrainingConfig(TrainingConfig):
    """Training settings of a pre-training run."""

    optimizer: PretrainingOptimizerConfig = Field(
        default_factory=PretrainingOptimizerConfig, description="Optimizer and schedule."
    )


class FinetuningConfig(TrainingConfig):
    """Training settings of a fine-tuning run; the defaults are the study's."""

    batch_size: int = Field(default=16, ge=1, description="Labelled images per step.")
    optimizer: FinetuningOptimizerConfig = Field(
        default_factory=FinetuningOptimizerConfig, description="Optimizer and schedule."
    )


class RunConfig(StrictModel):
    """What pre-training and fine-tuning have in common."""

    seed: int = Field(default=0, ge=0, description="Seed of initial weights, order, augmentation.")
    image_size: int = Field(default=64, ge=8, le=2048, description="Side of the square input, px.")
    channels: Literal[1, 3] = Field(
        default=3, description="Channels the network sees; gray images are repeated for 3."
    )
    normalization: NormalizationConfig = Field(
        default_factory=NormalizationConfig, description="Applied to images in [0, 1]."
    )


class PretrainConfig(RunConfig):
    """A pre-training run: a method trains a backbone, or a backbone and decoder, on images."""

    method: Method = Field(description="The self-supervised method.")
    backbone: Backbone = Field(description="The encoder.")
    decoder: Decoder | None = Field(
        default=None, description="If given, encoder and decoder are pre-trained together."
    )
    augmentation: Augmentation | None = Field(
        default=None, description="Makes the views; default: the one the method names."
    )
    data: tuple[Dataset, ...] = Field(min_length=1, description="The datasets, concatenated.")
    parts: tuple[Part, ...] = Field(
        default=("train",), min_length=1, description="Parts of each split that are trained on."
    )
    cache_size: int | None = Field(
        default=None,
        ge=8,
        description="Side of the cached images that crops are cut from; default: 1.25 image_size.",
    )
    training: PretrainingConfig = Field(default_factory=PretrainingConfig)

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

    @property
    def stored_size(self) -> int:
        """Side of the cached images, px."""
        return self.cache_size or round(1.25 * self.image_size)

    @property
    def scope(self) -> Scope:
        """What is pre-trained."""
        return "encoder" if self.decoder is None else "encoder_decoder"


class FinetuneConfig(RunConfig):
    """A fine-tuning run: a segmentation network learns from few or many labelled images."""

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
    weights: Path | None = Field(
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
    training: FinetuningConfig = Field(default_factory=FinetuningConfig)


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
