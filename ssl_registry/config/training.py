"""How a loop trains: length, batch, device, optimizer and schedule."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ssl_registry.config.strict import StrictModel


class OptimizerConfig(StrictModel):
    """The optimizer and its schedule; the rate is multiplied by a cosine after warm-up."""

    name: Literal["adam", "adamw", "sgd", "lars"] = Field(
        default="adam", description="Which optimizer."
    )
    learning_rate: float = Field(default=3e-4, gt=0, description="Peak rate.")
    final_learning_rate: float = Field(
        default=0.0, ge=0, description="Rate the cosine ends at, after the last step."
    )
    reference_batch: int | None = Field(
        default=None,
        ge=1,
        description="Batch that both rates are meant for; they are scaled to `batch_size`. "
        "Default: the rates hold for any batch.",
    )
    scaling: Literal["linear", "sqrt"] = Field(
        default="linear",
        description="How rates grow with batch_size / reference_batch: in proportion (Goyal et al. "
        "2017), or with its square root (Krizhevsky 2014).",
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay.")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of sgd and lars.")
    trust_coefficient: float = Field(
        default=0.001, gt=0, description="How far lars moves a layer, relative to its norm (eta)."
    )
    warmup_epochs: float = Field(default=0, ge=0, description="Epochs of linear warm-up from 0.")
    warmup_steps: int | None = Field(
        default=None, ge=0, description="Steps of linear warm-up, in place of `warmup_epochs`."
    )

    @model_validator(mode="after")
    def _falling(self) -> Self:
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate = {self.final_learning_rate:g} is above learning_rate = "
                f"{self.learning_rate:g}"
            )
        return self

    def rate_factor(self, batch_size: int) -> float:
        """What the rates are multiplied with in a run whose steps take `batch_size` images."""
        if self.reference_batch is None:
            return 1.0
        ratio = batch_size / self.reference_batch
        return ratio if self.scaling == "linear" else math.sqrt(ratio)

    def warmup(self, steps_per_epoch: int) -> int:
        """Steps of warm-up that the config asks for."""
        if self.warmup_steps is not None:
            return self.warmup_steps
        return round(self.warmup_epochs * steps_per_epoch)


class TrainingConfig(StrictModel):
    """How long and on what a loop trains; shared by pre-training and fine-tuning."""

    epochs: int = Field(default=100, ge=1, description="Epochs over the training images.")
    optimizer: OptimizerConfig = Field(
        default_factory=OptimizerConfig, description="Optimizer and schedule."
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        description="Length of the run in steps, in place of `epochs`: the same for every number "
        "of images. The schedule spans it.",
    )
    max_steps: int | None = Field(
        default=None,
        ge=1,
        description="At most this many steps, also in mid-epoch; the schedule spans the shorter "
        "run. For trials.",
    )
    batch_size: int = Field(
        default=256, ge=1, description="Images per step, of all processes together."
    )
    accumulation: int = Field(
        default=1,
        ge=1,
        description="Micro-batches that a step's images are shown in, one after the other, to "
        "save memory; must divide them evenly. Contrastive negatives and batch statistics then "
        "come from the micro-batch alone, so that it is another training than one with the whole "
        "batch.",
    )
    checkpointing: bool = Field(
        default=False,
        description="Keep only the inputs of the network's blocks and compute their activations "
        "again in the backward: the same result with less memory, for about a third more time.",
    )
    sync_batch_norm: bool = Field(
        default=True,
        description="In several processes, batch normalisation over the images of all of them, "
        "as in one process. Without, each normalises its own, which is faster and another "
        "training.",
    )
    device: str = Field(
        default="auto",
        description="auto, cpu, cuda, cuda:1, mps. Several processes take auto, cuda or cpu, and "
        "one GPU each.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="auto takes bf16 autocast on devices that compute in it (CUDA; CPUs with AMX "
        "or AVX-512 BF16), else fp32; a resumed run goes on in the one it began with.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of torch; default: torch's own choice."
    )
    data_on_device: Literal["auto"] | bool = Field(
        default="auto",
        description="Whether all stored images are kept in the memory of the device. auto: on an "
        "accelerator, if they take at most a quarter of what it has free; else batches are "
        "gathered while steps run, and sent. The result is the same.",
    )
    checkpoint_seconds: float = Field(
        default=60.0,
        ge=0,
        description="Write a resume checkpoint at most this often; 0: each step.",
    )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole run."""
        steps = self.steps or self.epochs * steps_per_epoch
        return min(steps, self.max_steps or steps)


class PretrainingOptimizerConfig(OptimizerConfig):
    """Defaults for contrastive pre-training on one device: Adam with warm-up."""

    warmup_epochs: float = Field(default=10, ge=0, description="Epochs of linear warm-up from 0.")


class FinetuningOptimizerConfig(OptimizerConfig):
    """Defaults of the study's fine-tuning: Adam at 1e-4, down to 1e-5."""

    learning_rate: float = Field(default=1e-4, gt=0, description="Peak rate.")
    final_learning_rate: float = Field(
        default_factory=lambda settings: min(1e-5, settings.get("learning_rate", 1e-5)),
        ge=0,
        description="Rate the cosine ends at, after the last step; default: 1e-5, and no more "
        "than the peak.",
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
