"""The arms of a panel against its baseline: intervals, signed-rank tests, Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ssl_registry.evaluation.bootstrap import Estimate
from ssl_registry.evaluation.holm import holm
from ssl_registry.evaluation.two_level_bootstrap import (
    RunScores,
    difference_interval,
    mean_interval,
)
from ssl_registry.evaluation.wilcoxon import signed_rank
from ssl_registry.study.cells import POLICIES
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.image_dice import CellDice
from ssl_registry.study.panels import Panel

LEVEL: Final = 0.05
"""Adjusted p-values below it are called differences."""
SEED: Final = 0


@dataclass(frozen=True)
class Against:
    """A cell compared with the baseline's cell of the same column, by one policy.

    Attributes:
        images: Test images.
        pairs: The pairs of the test: groups of images (patients), or images that have none.
        runs: Runs of the cell.
        baseline_runs: Runs of the baseline.
        difference: Mean difference with its two-level interval.
        median: Median over the pairs of the difference of the means over runs and images.
        p: Two-sided p-value of the signed-rank test over the pairs.
        adjusted: The same after Holm's correction over the arms of the column.
    """

    images: int
    pairs: int
    runs: int
    baseline_runs: int
    difference: Estimate
    median: float
    p: float
    adjusted: float

    @property
    def verdict(self) -> str:
        """`higher` or `lower`, by the sign of the mean difference; "" for no difference."""
        if not self.adjusted < LEVEL:
            return ""
        return "higher" if self.difference.value > 0 else "lower"

    @property
    def certain(self) -> bool:
        """Whether the interval over runs and images leaves out zero as well."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True)
class PanelStatistics:
    """The statistics of a panel; keys are policy, label of the arm, and column.

    Attributes:
        means: Mean of each cell with its interval over runs and images.
        against: The cells that can be compared with the baseline.
        unpaired: Cells that cannot, although both have runs: other test images, or no per-image
            tables.
    """

    means: Mapping[tuple[str, str, Any], Estimate]
    against: Mapping[tuple[str, str, Any], Against]
    unpaired: tuple[tuple[str, Any], ...]


def panel_statistics(folder: StudyFolder, panel: Panel) -> PanelStatistics:
    """Statistics of a panel, from the per-image tables of its runs."""
    dice = {
        (arm.label, column): CellDice(folder, cell)
        for arm in panel.arms
        for column, cell in arm.cells.items()
        if cell.lines
    }
    means = {
        (policy, *key): mean_interval(scores, SEED)
        for key, of_cell in dice.items()
        for policy in POLICIES
        if (scores := of_cell.scores[policy]) is not None
    }
    against: dict[tuple[str, str, Any], Against] = {}
    baseline = panel.baseline
    if baseline is None:
        return PanelStatistics(means, against, ())
    others = [arm.label for arm in panel.arms if not arm.baseline]
    for column in panel.columns:
        base = dice.get((baseline.label, column))
        if base is not None:
            of_column = {label: dice[label, column] for label in others if (label, column) in dice}
            for policy in POLICIES:
                found = _column(of_column, base, policy)
                against |= {(policy, label, column): one for label, one in found.items()}
    unpaired = [
        (label, column)
        for label, column in dice
        if label in others
        and (baseline.label, column) in dice
        and (POLICIES[0], label, column) not in against
    ]
    return PanelStatistics(means, against, tuple(unpaired))


def _column(arms: Mapping[str, CellDice], base: CellDice, policy: str) -> dict[str, Against]:
    """All arms of a column against the baseline; they are one family of tests."""
    theirs = base.scores[policy]
    found = {
        label: _compare(ours, theirs)
        for label, arm in arms.items()
        if (ours := arm.scores[policy]) is not None
        and theirs is not None
        and arm.images[policy] == base.images[policy]
    }
    adjusted = holm([one.p for one in found.values()])
    return {
        label: replace(one, adjusted=p)
        for (label, one), p in zip(found.items(), adjusted, strict=True)
    }


def _compare(ours: RunScores, theirs: RunScores) -> Against:
    differences = ours.of_clusters - theirs.of_clusters
    test = signed_rank(differences)
    return Against(
        images=ours.values.shape[1],
        pairs=len(differences),
        runs=len(ours.values),
        baseline_runs=len(theirs.values),
        difference=difference_interval(ours, theirs, SEED),
        median=test.median,
        p=test.p,
        adjusted=test.p,
    )


def tally(statistics: Sequence[PanelStatistics], policy: str) -> dict[str, int]:
    """How many cells of all panels are `higher`, `lower` or `neither`.

    `certainly higher` and `certainly lower` are those among them whose interval leaves out zero.
    """
    counts = dict.fromkeys(("higher", "lower", "neither", "certainly higher", "certainly lower"), 0)
    for of_panel in statistics:
        for key, one in of_panel.against.items():
            if key[0] == policy:
                counts[one.verdict or "neither"] += 1
                if one.verdict and one.certain:
                    counts[f"certainly {one.verdict}"] += 1
    return counts
