"""The page of a study's report, with all its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ssl_registry.report.colors import TRUTH
from ssl_registry.report.numbers import fact
from ssl_registry.report.page import write_page
from ssl_registry.report.panels import GalleryRow, gallery_rows
from ssl_registry.report.study_curves import arm_styles, figure_svg, panel_figure
from ssl_registry.report.study_report import (
    PanelReport,
    StudyReport,
    facts,
    headlines,
    warnings,
)
from ssl_registry.report.study_view import (
    ARROWS,
    NAMES,
    ArmText,
    ComparisonText,
    MeanText,
    arm_texts,
    comparison_texts,
    mean_texts,
    notes,
    of_labels,
)
from ssl_registry.study.cells import POLICIES
from ssl_registry.study.comparing import LEVEL
from ssl_registry.study.panels import Panel, column_title
from ssl_registry.study.records import (
    Record,
    components,
    datasets,
    environments,
    unfinished,
    wall_times,
)
from ssl_registry.study.rows import FAILED

_SWATCHES: Final = {
    "o": "M12 2.6a3.4 3.4 0 1 0 .01 0z",
    "s": "M8.8 2.8h6.4v6.4h-6.4z",
    "^": "M12 1.8l4 7.2h-8z",
    "D": "M12 1.6l4.4 4.4-4.4 4.4-4.4-4.4z",
    "v": "M12 10.2l4-7.2h-8z",
    "P": "M10.6 2h2.8v2.6h2.6v2.8h-2.6v2.6h-2.8v-2.6h-2.6v-2.8h2.6z",
    "X": "M10 2l2 2 2-2 2 2-2 2 2 2-2 2-2-2-2 2-2-2 2-2-2-2z",
}
"""Markers of the curves as paths in a box of 24 by 12."""
_DASHES: Final = ("", "5 2", "1.5 1.5", "6 2 1.5 2")


@dataclass(frozen=True)
class Swatch:
    """An arm in the legend of the curves."""

    label: str
    color: str
    dash: str
    marker: str
    bold: bool


@dataclass(frozen=True)
class PanelView:
    """A panel as the page shows it."""

    title: str
    columns: tuple[str, ...]
    arms: list[ArmText]
    comparisons: list[ComparisonText]
    baseline: str
    means: list[tuple[str, tuple[MeanText | None, ...]]]
    curves: dict[str, str]
    swatches: list[Swatch]
    gallery: list[GalleryRow]
    gallery_share: str
    absent: tuple[str, ...]


def write_study_page(path: Path, report: StudyReport) -> None:
    """Write the report as one HTML file, whole or not at all.

    Raises:
        RunError: The place is not writable.
    """
    views = [panel_view(one) for one in report.panels]
    without_result = unfinished(report.axes, report.lines)
    write_page(
        path,
        "study.html",
        report=report,
        headlines=headlines(report),
        warnings=warnings(report),
        facts=facts(report),
        panels=views,
        names=list(NAMES.values()),
        policies=list(POLICIES),
        arrows=ARROWS,
        level=LEVEL,
        truth=TRUTH,
        images=any(one.gallery is not None for one in report.panels),
        notes=notes([one.panel for one in report.panels], [one.means for one in report.panels]),
        failed=[row for row in without_result if row.status == FAILED],
        missing=[row for row in without_result if row.status != FAILED],
        pretrainings=[pretraining_row(r) for r in report.records if r.run.kind == "pretrain"],
        finetunings=finetuning_rows(report),
        wall_times=wall_times(report.records),
        datasets=datasets(report.records),
        components=components(report.records),
        environment=environments(report.records),
    )


def panel_view(one: PanelReport) -> PanelView:
    """What the page shows of a panel."""
    panel, gallery = one.panel, one.gallery
    curves = {
        name: figure_svg(figure)
        for policy, name in NAMES.items()
        if (figure := panel_figure(panel, policy, one.statistics.means, f"Dice, {name}"))
    }
    baseline = panel.baseline
    return PanelView(
        title=panel.title,
        columns=tuple(column_title(column) for column in panel.columns),
        arms=arm_texts(panel, one.statistics),
        comparisons=comparison_texts(panel, one.statistics),
        baseline="" if baseline is None else baseline.label,
        means=mean_texts(panel, one.means),
        curves=curves,
        swatches=swatches(panel),
        gallery=gallery_rows(gallery.items) if gallery else [],
        gallery_share=of_labels(gallery.column) if gallery else "",
        absent=gallery.absent if gallery else (),
    )


def swatches(panel: Panel) -> list[Swatch]:
    """The legend of a panel's curves."""
    return [
        Swatch(label, one.color, _DASHES[one.dash], _SWATCHES[one.marker], one.baseline)
        for label, one in arm_styles(panel).items()
    ]


def pretraining_row(record: Record) -> dict[str, Any]:
    """A finished pre-training: what it took and how it ended."""
    summary: Mapping[str, Any] = record.summary
    return {
        "title": record.run.title.removeprefix("pre-training "),
        "images": summary.get("images"),
        "batch": record.run.config["training"]["batch_size"],
        "steps": summary.get("steps"),
        "epochs": summary.get("epochs"),
        "seconds": summary.get("wall_seconds"),
        "loss": summary.get("loss"),
        "rank": summary.get("effective_rank"),
        "collapsed": any("collapse" in text.lower() for text in record.warnings),
    }


def finetuning_rows(report: StudyReport) -> list[dict[str, Any]]:
    """What fine-tunings took, for each panel and fraction."""
    labelled = {r.run.id: r.summary.get("labelled_images") for r in report.records}
    rows = []
    for one in report.panels:
        for column in one.panel.columns:
            cells = [arm.cells[column] for arm in one.panel.arms if column in arm.cells]
            lines = [line for cell in cells for line in cell.lines]
            seconds = [line["seconds"] for line in lines if line["seconds"] is not None]
            if lines:
                rows.append(
                    {
                        "panel": one.panel.title,
                        "column": column_title(column),
                        "images": _values([labelled.get(line["run"]) for line in lines]),
                        "steps": _values([line["steps"] for line in lines]),
                        "runs": len(lines),
                        "seconds": sum(seconds),
                        "each": sum(seconds) / len(seconds) if seconds else None,
                    }
                )
    return rows


def _values(values: Sequence[Any]) -> str:
    return ", ".join(fact(value) for value in sorted({v for v in values if v is not None}))
