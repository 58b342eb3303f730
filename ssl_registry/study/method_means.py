"""Means over the methods, for each pre-training set: the study's cells without the method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry.config.study import NONE
from ssl_registry.evaluation.statistics import mean
from ssl_registry.study.panels import ACROSS, Arm, Panel
from ssl_registry.study.published import Figure, Published

METHOD: Final = "method"


@dataclass(frozen=True)
class MethodMean:
    """The mean of the cells of several methods.

    Attributes:
        methods: How many methods the study has here.
        done: The means of those that have runs, by policy.
        figure: The published mean beside it.
    """

    methods: int
    done: Mapping[str, tuple[float, ...]]
    figure: Figure | None

    def value(self, policy: str) -> float:
        """The mean over the methods that have runs; NaN for none."""
        return mean(self.done[policy])

    def difference(self, policy: str) -> float | None:
        """Ours less the published mean; None unless all methods have runs."""
        if self.figure is None or len(self.done[policy]) < self.methods:
            return None
        return self.value(policy) - self.figure.mean


@dataclass(frozen=True)
class MeanRow:
    """A row of a table of means.

    Attributes:
        label: The pre-training set, and what else tells arms apart.
        means: By fraction.
    """

    label: str
    means: Mapping[Any, MethodMean]


def method_means(panel: Panel, published: Published, policies: Sequence[str]) -> list[MeanRow]:
    """The means of a panel over its methods, for each set that several methods trained on.

    A published mean is one whose method is called `mean of N methods`, N being as many as here.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[Arm]] = {}
    for arm in panel.arms:
        rest = {axis: value for axis, value in arm.axes.items() if axis != METHOD}
        if METHOD in arm.axes and any(value != NONE for value in rest.values()):
            groups.setdefault(tuple(rest.items()), []).append(arm)
    return [
        MeanRow(
            label=", ".join(str(value) for _, value in rest if value != NONE),
            means={
                column: _mean(panel, dict(rest), column, arms, published, policies)
                for column in panel.columns
                if any(column in arm.cells for arm in arms)
            },
        )
        for rest, arms in groups.items()
        if len(arms) > 1
    ]


def _mean(
    panel: Panel,
    rest: Mapping[str, Any],
    column: Any,
    arms: Sequence[Arm],
    published: Published,
    policies: Sequence[str],
) -> MethodMean:
    cells = [arm.cells[column] for arm in arms if column in arm.cells]
    name = f"mean of {len(cells)} methods"
    axes = {**panel.axes, **rest, ACROSS: column, METHOD: name}
    done = {
        policy: tuple(cell.summary(policy).mean for cell in cells if cell.values(policy))
        for policy in policies
    }
    return MethodMean(len(cells), done, published.of(axes))
