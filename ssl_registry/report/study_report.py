"""The report of a study: what it is made of, and the sentences that head it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_registry.evaluation.statistics import mean
from ssl_registry.report.study_view import NAMES
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.comparing import LEVEL, PanelStatistics, tally
from ssl_registry.study.method_means import MeanRow
from ssl_registry.study.panels import Panel, column_title
from ssl_registry.study.pictures import Gallery
from ssl_registry.study.records import Record, warnings_of
from ssl_registry.study.rows import Line


@dataclass(frozen=True)
class PanelReport:
    """All there is to a panel.

    Attributes:
        panel: Its arms and cells.
        statistics: Intervals and comparisons.
        means: Means over the methods.
        gallery: Test images with the masks of all arms; None for a report without images.
    """

    panel: Panel
    statistics: PanelStatistics
    means: tuple[MeanRow, ...]
    gallery: Gallery | None


@dataclass(frozen=True)
class StudyReport:
    """What the report of a study is made of.

    Attributes:
        title: Heading of the page.
        axes: The names of the axes.
        planned: How many runs of each kind the study has.
        lines: The lines of its table.
        cells: Its cells.
        panels: Its panels.
        records: Its finished runs.
        compared: Whether it has published figures beside it.
        stands_for: By axis, what published values stand beside ours.
        left_out: What was left out of the study, in sentences.
        text: The study's file.
    """

    title: str
    axes: Sequence[str]
    planned: Mapping[str, int]
    lines: Sequence[Line]
    cells: Sequence[Cell]
    panels: Sequence[PanelReport]
    records: Sequence[Record]
    compared: bool
    stands_for: Mapping[str, Mapping[str, str]]
    left_out: Sequence[str]
    text: str

    def count(self, status: str) -> int:
        """How many lines have a status."""
        return sum(line["status"] == status for line in self.lines)

    @property
    def statistics(self) -> list[PanelStatistics]:
        """The statistics of all panels."""
        return [one.statistics for one in self.panels]


def headlines(report: StudyReport) -> list[str]:
    """What came out, in a few sentences, whichever way it falls."""
    found = [_state(report)]
    if any(one.against for one in report.statistics):
        found.append(_verdicts(report))
    elif any(one.panel.baseline is None for one in report.panels):
        found.append("The study has no arm that starts from random weights, so none is compared.")
    if report.compared:
        found.append(_published(report))
    return found


def _state(report: StudyReport) -> str:
    done, failed, missing = (report.count(status) for status in ("done", "failed", "missing"))
    if done == len(report.lines):
        return f"All {done} lines of the study's table are done."
    return (
        f"This is part of the study: {done} of {len(report.lines)} lines of its table are done, "
        f"{failed} failed and {missing} are still to be done."
    )


def _verdicts(report: StudyReport) -> str:
    parts = []
    for policy in POLICIES:
        counts = tally(report.statistics, policy)
        higher, lower = (
            f"{counts[word]} are {word} ({counts[f'certainly {word}']} certainly)"
            if counts[word]
            else f"none is {word}"
            for word in ("higher", "lower")
        )
        parts.append(
            f"by Dice over {NAMES[policy]} {higher}, {lower}, and {counts['neither']} of "
            f"{counts['higher'] + counts['lower'] + counts['neither']} cannot be told apart from it"
        )
    return (
        f"Pre-trained cells against their baseline from random weights: {'; '.join(parts)}. "
        f"(Signed-rank test over images, Holm, p < {LEVEL:g}; certainly: the interval over runs "
        "and images leaves out zero as well.)"
    )


def _published(report: StudyReport) -> str:
    gaps = [abs(d) for cell in report.cells if (d := cell.difference(POLICIES[0])) is not None]
    if not gaps:
        return "No cell that is done has a published one beside it."
    sentence = (
        f"Cells with a published one beside them: {len(gaps)}; ours differ from it by "
        f"{mean(gaps):.3f} on average (Dice over {NAMES[POLICIES[0]]})."
    )
    signs = [same for one in report.panels for same in same_signs(one.panel)]
    if signs:
        sentence += (
            f" Whether pre-training helps at all, the sign of its difference from the baseline, "
            f"agrees in {sum(signs)} of {len(signs)} cells."
        )
    return sentence


def same_signs(panel: Panel) -> list[bool]:
    """For each pre-trained cell, whether its difference from the baseline has the printed sign."""
    base = panel.baseline
    if base is None:
        return []
    found = []
    for arm in panel.arms:
        for column, cell in arm.cells.items():
            theirs = base.cells.get(column)
            if arm.baseline or theirs is None or cell.figure is None or theirs.figure is None:
                continue
            if cell.lines and theirs.lines:
                ours = cell.summary(POLICIES[0]).mean - theirs.summary(POLICIES[0]).mean
                found.append((ours > 0) == (cell.figure.mean > theirs.figure.mean))
    return found


def warnings(report: StudyReport) -> list[str]:
    """What the reader must know before trusting the numbers."""
    found = list(report.left_out)
    for text, titles in warnings_of(report.records).items():
        where = titles[0] if len(titles) == 1 else f"{len(titles)} runs, first {titles[0]}"
        found.append(f"{text} ({where})")
    for one in report.panels:
        for label, column in one.statistics.unpaired:
            found.append(
                f"{one.panel.title}: {label} at {column_title(column)} is not compared with the "
                "baseline: their runs are of other test images, or have no per-image tables."
            )
    single = [cell for cell in report.cells if len(cell.lines) == 1]
    if single:
        found.append(
            f"Cells with one run: {len(single)}; their intervals know of images only, not of other "
            "seeds."
        )
    return found


def facts(report: StudyReport) -> dict[str, Any]:
    """The facts that head the page."""
    done = {kind: sum(r.run.kind == kind for r in report.records) for kind in report.planned}
    return {
        "fine-tunings done": f"{done['finetune']} of {report.planned['finetune']}",
        "pre-trainings done": f"{done['pretrain']} of {report.planned['pretrain']}",
        "failed lines": report.count("failed"),
        "lines still to be done": report.count("missing"),
        "pre-training steps": _range(report, "pretraining_steps"),
        "fine-tuning steps": _range(report, "steps"),
    }


def _range(report: StudyReport, name: str) -> str | int:
    values = sorted({int(line[name]) for line in report.lines if line.get(name)})
    if not values:
        return "\N{EN DASH}"
    return values[0] if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
