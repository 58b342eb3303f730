"""The cells of a study's tables: what differs by seed alone, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry.evaluation.statistics import Summary, summarize
from ssl_registry.study.published import Figure, Published
from ssl_registry.study.rows import DONE, FAILED, Line

SEEDS: Final = ("pretrain_seed", "seed")
POLICIES: Final = ("dice/all_empty1", "dice/lesion")
"""Dice by both policies; the first is the one that published figures are compared with."""


@dataclass(frozen=True)
class Cell:
    """Fine-tunings that differ by seed alone.

    Attributes:
        study: The part of the study.
        axes: Its value of each axis but the seeds.
        lines: The lines of its finished runs, in the order of seeds.
        failed: How many of its runs failed.
        missing: How many are still to be done.
        figure: The published cell beside it.
    """

    study: str
    axes: Mapping[str, Any]
    lines: tuple[Line, ...]
    failed: int
    missing: int
    figure: Figure | None

    def values(self, name: str) -> list[float]:
        """An aggregate, run by run, where it is defined."""
        return [float(line[name]) for line in self.lines if line.get(name) not in (None, "")]

    def summary(self, name: str) -> Summary:
        """Mean and sample standard deviation of an aggregate."""
        return summarize(self.values(name))

    def difference(self, name: str) -> float | None:
        """Our mean less the published one; None where there is either missing."""
        if self.figure is None or not self.values(name):
            return None
        return self.summary(name).mean - self.figure.mean


def cells(axes: Sequence[str], table: Sequence[Line], published: Published) -> list[Cell]:
    """The cells of a study's lines, in their order."""
    kept = [axis for axis in axes if axis not in SEEDS]
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in table:
        groups.setdefault((line["study"], *(line[axis] for axis in kept)), []).append(line)
    found = []
    for (study, *values), lines in groups.items():
        of_axes = dict(zip(kept, values, strict=True))
        states = [line["status"] for line in lines]
        done, failed = states.count(DONE), states.count(FAILED)
        found.append(
            Cell(
                study=study,
                axes=of_axes,
                lines=tuple(line for line in lines if line["status"] == DONE),
                failed=failed,
                missing=len(lines) - done - failed,
                figure=published.of(of_axes),
            )
        )
    return found
