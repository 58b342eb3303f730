"""The config of a study: axes, and what each of their values sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from ssl_registry.config.model import ComponentConfig, component
from ssl_registry.config.run import Scope
from ssl_registry.config.strict import StrictModel

Table = Mapping[str, Any]
"""Settings of a pre-training or fine-tuning, or some of them, as in a config file."""

AxisValue = str | int | float
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=8, le=2048)]
Executor = Annotated[SerializeAsAny[ComponentConfig], component("executor", default="local")]

NAMED: Final = ("method", "pretraining_data", "architecture", "split")
"""Axes whose values are named tables."""
LISTED: Final = ("scope", "image_size", "fraction", "pretrain_seed", "seed")
"""Axes whose values are plain."""

TAKEN: Final = frozenset(
    {
        *("study", "run", "pretraining", "status", "error", "attempts"),
        *("steps", "pretraining_steps", "seconds", "pretraining_seconds"),
        *("images", "pairs", "detection_rate", "normal_false_positive_rate"),
        *("runs", "failed", "missing", "note", "published", "methods", "policy"),
        *("mean", "low", "high", "difference", "median", "p", "verdict"),
    }
)
"""Columns of the tables of a study, which no axis may be called."""
NONE: Final = "none"
"""The value of an axis that does not apply: a run without pre-training has no pre-training set."""


class VariantConfig(StrictModel):
    """What one value of an axis sets."""

    pretrain: Table = Field(default_factory=dict, description="Settings of pre-trainings.")
    finetune: Table = Field(default_factory=dict, description="Settings of fine-tunings.")
    data: Mapping[str, Table] = Field(
        default_factory=dict,
        description="By name of a dataset, settings of it wherever it is used.",
    )
    pretraining: bool = Field(
        default=True, description="false: fine-tune from random weights; the baseline."
    )
    weights: str | None = Field(
        default=None,
        description="Folder of weights to fine-tune from, in place of a pre-training. With '' the "
        "value is left out: for weights that not everybody has.",
    )
    only: Mapping[str, tuple[AxisValue, ...]] = Field(
        default_factory=dict,
        description="By name of another axis, the values that this one is combined with.",
    )

    @property
    def changes_finetuning(self) -> bool:
        """Whether it sets anything that a fine-tuning without pre-training would notice."""
        return bool(self.finetune or self.data or self.weights or not self.pretraining)


Variants = Mapping[str, VariantConfig]


class AxesConfig(StrictModel):
    """The axes: each combination of their values is a fine-tuning, pre-trainings are shared."""

    method: Variants = Field(
        default_factory=dict, description="Methods by name, and the baselines without one."
    )
    pretraining_data: Variants = Field(
        default_factory=dict, description="What is pre-trained on, by name."
    )
    architecture: Variants = Field(default_factory=dict, description="Networks by name.")
    split: Variants = Field(default_factory=dict, description="Ways to divide the data, by name.")
    other: Mapping[str, Variants] = Field(
        default_factory=dict, description="Further axes by name, with their values by name."
    )
    scope: tuple[Scope, ...] = Field(
        default=(),
        description="What is pre-trained and taken over. By default what `pretrain` says: with a "
        "`decoder` both, else the encoder.",
    )
    image_size: tuple[Size, ...] = Field(
        default=(), description="Side of the images, px, in both stages."
    )
    fraction: tuple[Share, ...] = Field(default=(), description="Shares of the labels.")
    pretrain_seed: tuple[Seed, ...] = Field(default=(), description="Seeds of pre-trainings.")
    seed: tuple[Seed, ...] = Field(default=(0,), min_length=1, description="Seeds of fine-tunings.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in LISTED:
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names a value twice: {list(values)}")
        for name in self.other:
            if name in (*NAMED, *LISTED, *TAKEN) or not name.isidentifier():
                raise ValueError(f"other: {name!r} is no name for a further axis; choose another")
        for name, variants in self.named().items():
            if NONE in variants:
                raise ValueError(
                    f"{name}: a value cannot be called {NONE!r}, which means that the axis does "
                    "not apply; choose another name"
                )
            for value, variant in variants.items():
                self._check_only(f"{name}.{value}.only", variant.only)
        return self

    def _check_only(self, place: str, only: Mapping[str, tuple[AxisValue, ...]]) -> None:
        for axis, values in only.items():
            if axis not in {*NAMED, *LISTED, *self.other}:
                raise ValueError(f"{place}: there is no axis {axis!r}")
            # Plain values are shortened by overrides, names are not.
            known = self.named().get(axis, values)
            unknown = [value for value in values if value not in known]
            if unknown:
                raise ValueError(f"{place}.{axis}: there is no value {unknown[0]!r}")

    def values(self) -> dict[str, tuple[AxisValue, ...]]:
        """The values of each axis that has any."""
        named: dict[str, tuple[AxisValue, ...]] = {n: (*v,) for n, v in self.named().items()}
        return named | self.listed()

    def listed(self) -> dict[str, tuple[AxisValue, ...]]:
        """The axes of plain values that have any, in order."""
        return {name: values for name in LISTED if (values := getattr(self, name))}

    def named(self) -> dict[str, Variants]:
        """The axes of named values that have any, in order."""
        named: dict[str, Variants] = {name: getattr(self, name) for name in NAMED}
        return {name: values for name, values in {**named, **self.other}.items() if values}


class PublishedConfig(StrictModel):
    """Which published figures the report puts beside the study's."""

    name: str = Field(description="A component of kind `published`.")
    stands_for: Mapping[str, Mapping[str, str]] = Field(
        default_factory=dict,
        description="By axis, the published value that is put beside one of the study's, where "
        "they are called otherwise: `architecture.resnet18-unet = 'resnet50-unet'`.",
    )


class StudyConfig(StrictModel):
    """A study: which pre-trainings and fine-tunings, and how they are carried out."""

    title: str = Field(description="Heading of the report.")
    include: tuple[str, ...] = Field(
        default=(),
        description="Other studies, by name, that this one is made of. What else this one says is "
        "laid over each of them.",
    )
    pretrain: Table = Field(
        default_factory=dict, description="Settings of all pre-trainings; presets come first."
    )
    finetune: Table = Field(
        default_factory=dict, description="Settings of all fine-tunings; presets come first."
    )
    data: Mapping[str, Table] = Field(
        default_factory=dict,
        description="By name of a dataset, settings of it wherever it is used, such as its root.",
    )
    axes: AxesConfig = Field(default_factory=AxesConfig, description="What is varied.")
    without: Mapping[str, tuple[AxisValue, ...]] = Field(
        default_factory=dict,
        description="By axis, values to leave out: `without.pretraining_data = ['CIFAR-10']`.",
    )
    published: PublishedConfig | None = Field(
        default=None, description="Published figures that the report puts beside the study's."
    )
    attempts: int = Field(
        default=3,
        ge=1,
        description="How often a run is tried whose worker died or that failed unexpectedly.",
    )
    keep_weights: Literal["all", "first-seed", "none"] = Field(
        default="first-seed",
        description="Which fine-tuned networks stay on the disk; those of the first seed of each "
        "cell serve the report's pictures. Pre-trained weights stay.",
    )
    keep_checkpoints: bool = Field(
        default=False, description="Whether finished runs keep the checkpoint they resume from."
    )
    executor: Executor = Field(
        default="local", validate_default=True, description="What carries the runs out."
    )
