"""Probes: what pre-trained features are worth on labelled images, by simple frozen evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ssl_registry.config.run import Dataset
from ssl_registry.config.strict import StrictModel


class ProbeConfig(StrictModel):
    """What all kinds of probe have in common.

    A probe learns from the images of the part `train` and is scored on those of `part`. Its data
    need not be those of the pre-training.
    """

    name: str = Field(
        default="",
        pattern=r"^[\w.+-]*$",
        description="Names the scores in log and report; default: DATASET-KIND.",
    )
    data: Dataset = Field(description="The labelled dataset.")
    part: Literal["val", "test"] = Field(
        default="val", description="The part it is scored on; it learns from train."
    )
    every_epochs: int = Field(
        default=0, ge=0, description="Probe after every so many epochs; the end is always probed."
    )

    @property
    def title(self) -> str:
        """The name that scores go by."""
        kind: str = getattr(self, "kind", "probe")
        return self.name or f"{self.data.name.rpartition('/')[2]}-{kind}"


class KnnProbeConfig(ProbeConfig):
    """Weighted vote of the nearest training images, by the cosine of their embeddings."""

    kind: Literal["knn"] = Field(default="knn", description="Nearest neighbours.")
    k: int = Field(
        default=20,
        ge=1,
        description="Neighbours that vote. 200 is usual for CIFAR's 5000 images a class; sets of "
        "a few hundred images need fewer, or the largest class outvotes the others.",
    )
    temperature: float = Field(
        default=0.1, gt=0, description="A neighbour of cosine s has the weight exp(s / this)."
    )


class LinearProbeConfig(ProbeConfig):
    """Logistic regression on frozen, standardised embeddings."""

    kind: Literal["linear"] = Field(default="linear", description="Logistic regression.")
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1.0, 0.1, 0.01, 0.001),
        min_length=1,
        description="L2 penalties to choose from, by cross-validation on the training images.",
    )
    folds: int = Field(default=3, ge=2, description="Parts of that cross-validation.")


class SegmentationProbeConfig(ProbeConfig):
    """A linear map from each level of the frozen feature pyramid to the masks."""

    kind: Literal["segmentation"] = Field(default="segmentation", description="Linear masks.")
    steps: int = Field(default=300, ge=1, description="Steps of Adam on the linear map.")
    batch_size: int = Field(default=32, ge=1, description="Images per step.")
    learning_rate: float = Field(default=0.01, gt=0, description="Peak rate; a cosine ends it.")


AnyProbeConfig = Annotated[
    KnnProbeConfig | LinearProbeConfig | SegmentationProbeConfig, Field(discriminator="kind")
]


class ProbesConfig(StrictModel):
    """The probes of a file or a command line."""

    probes: tuple[AnyProbeConfig, ...] = Field(min_length=1, description="The probes.")

    @model_validator(mode="after")
    def _probes_differ(self) -> Self:
        check_titles(self.probes)
        return self


def check_titles(probes: Sequence[ProbeConfig]) -> None:
    """Raise a `ValueError` if two probes would write their scores under the same name."""
    titles = [probe.title for probe in probes]
    repeated = [title for title, count in Counter(titles).items() if count > 1]
    if repeated:
        raise ValueError(f"two probes are called {repeated[0]!r}; give each a name of its own")
