"""The report of a study in Markdown, with its pictures in files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ssl_registry.report.numbers import DASH, duration, fact, number
from ssl_registry.report.study_page import finetuning_rows, pretraining_row
from ssl_registry.report.study_report import StudyReport, headlines, warnings
from ssl_registry.report.study_tables import markdown_table, tables_markdown
from ssl_registry.report.study_view import (
    ARROWS,
    NAMES,
    ComparisonText,
    MeanText,
    comparison_texts,
    mean_texts,
)
from ssl_registry.study.comparing import LEVEL
from ssl_registry.study.panels import Panel, column_title
from ssl_registry.study.records import components, datasets, environments, unfinished, wall_times

_CURVES: Final = (
    "Curves: a point is the mean of a cell's runs, its bar the 95 % percentile interval of that "
    "mean by a two-level bootstrap of 10,000 draws (runs, images). It is not the ± of the tables, "
    "the standard deviation of the runs. Bars stand a little beside their point, so that none "
    "hides another."
)


def study_markdown(report: StudyReport, pictures: Mapping[str, str]) -> str:
    """The whole report as Markdown.

    Args:
        report: The report.
        pictures: By file name, what pictures beside the page show.
    """
    parts = [f"# {report.title}", *headlines(report)]
    told = warnings(report)
    if told:
        parts += ["**Before you trust these numbers**", _list(told)]
    parts.append(tables_markdown(report.cells, report.stands_for))
    for one in report.panels:
        parts += _means(one.panel, mean_texts(one.panel, one.means), report.compared)
        parts += _comparisons(one.panel, comparison_texts(one.panel, one.statistics))
    parts += _pictures(report, pictures)
    parts += _unfinished(report)
    parts += _times(report)
    parts += _origin(report)
    return "\n\n".join(parts) + "\n"


def _list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _means(
    panel: Panel, rows: Sequence[tuple[str, tuple[MeanText | None, ...]]], compared: bool
) -> list[str]:
    if not rows:
        return []
    first, second = NAMES.values()
    heading = f"Dice over {first} / {second}" + (
        "; the published mean in brackets, and the difference." if compared else "."
    )
    head = ["pre-trained on", *(column_title(column) for column in panel.columns)]
    lines = [[label, *(_mean(cell) for cell in cells)] for label, cells in rows]
    return [f"## Means over the methods: {panel.title}", heading, markdown_table(head, lines)]


def _mean(cell: MeanText | None) -> str:
    if cell is None:
        return DASH
    text = " / ".join(cell.values)
    if cell.missing:
        text += f" ({cell.missing})"
    if cell.published:
        text += f" [{cell.published}] {cell.difference}"
    return text.strip()


def _comparisons(panel: Panel, rows: Sequence[ComparisonText]) -> list[str]:
    if not rows or panel.baseline is None:
        return []
    head = ["arm", "labels", "runs", "images"]
    for name in NAMES.values():
        head += [f"{name}: difference", "median", "p", "p, Holm"]
    lines = []
    for row in rows:
        line = [row.arm, row.column, row.runs, row.images]
        for place in range(len(NAMES)):
            line += [row.differences[place], row.medians[place], row.p_values[place]]
            line.append(f"{row.adjusted[place]} {row.marks[place].arrow}".strip())
        lines.append(line)
    told = (
        f"Differences from `{panel.baseline.label}` with the 95 % interval of a two-level "
        "bootstrap (runs, images); Wilcoxon's signed-rank test over test images, each the mean "
        "over runs; images of one group (a patient) count as one; Holm over the arms of a column. "
        f"{ARROWS['higher', True]} higher, {ARROWS['lower', True]} lower, p < {LEVEL:g} after "
        f"Holm; {ARROWS['higher', False]} {ARROWS['lower', False]} where the interval holds zero."
    )
    return [f"## Against the baseline: {panel.title}", told, markdown_table(head, lines)]


def _pictures(report: StudyReport, pictures: Mapping[str, str]) -> list[str]:
    parts = [_CURVES] if pictures else []
    parts += [f"![{title}]({name})" for name, title in pictures.items()]
    for one in report.panels:
        if one.gallery is not None and one.gallery.absent:
            parts.append(f"Test images, {one.panel.title}: {' '.join(one.gallery.absent)}")
    return parts


def _unfinished(report: StudyReport) -> list[str]:
    rows = [
        [row.status, row.title, row.seeds, str(row.attempts), row.error or DASH]
        for row in unfinished(report.axes, report.lines)
    ]
    if not rows:
        return []
    head = ["state", "cell", "seeds", "attempts", "error"]
    return ["## Without a result", markdown_table(head, rows)]


def _times(report: StudyReport) -> list[str]:
    if not report.records:
        return []
    spent = ", ".join(f"{n} {duration(s)}" for n, s in wall_times(report.records).items())
    parts = ["## Steps and wall times", f"One after the other: {spent}."]
    before = [pretraining_row(r) for r in report.records if r.run.kind == "pretrain"]
    if before:
        head = ["pre-training", "images", "batch", "steps", "epochs", "wall time"]
        head += ["last loss", "effective rank", "collapsed"]
        lines = [
            [
                row["title"],
                *(number(row[name]) for name in ("images", "batch", "steps")),
                number(row["epochs"], 1),
                duration(row["seconds"]),
                number(row["loss"]),
                number(row["rank"], 1),
                "yes" if row["collapsed"] else "no",
            ]
            for row in before
        ]
        parts.append(markdown_table(head, lines))
    after = finetuning_rows(report)
    if after:
        head = ["fine-tuning", "labels", "labelled images", "steps", "runs", "wall time", "each"]
        lines = [
            [
                *(str(row[name]) for name in ("panel", "column", "images", "steps", "runs")),
                duration(row["seconds"]),
                duration(row["each"]),
            ]
            for row in after
        ]
        parts.append(markdown_table(head, lines))
    return parts


def _origin(report: StudyReport) -> list[str]:
    parts = []
    data = [
        [
            one["name"],
            *(fact(one["images"][part]) for part in ("train", "val", "test")),
            f"`{one['fingerprint'][:16]}`",
            f"`{one['split'][:16]}`",
        ]
        for one in datasets(report.records)
    ]
    if data:
        head = ["dataset", "train", "val", "test", "pixels (SHA-256)", "split"]
        parts += ["## Data", markdown_table(head, data)]
    used = [
        [part.get(name, DASH) for name in ("kind", "name", "plugin", "distribution", "version")]
        for part in components(report.records)
    ]
    if used:
        head = ["kind", "component", "plugin", "distribution", "version"]
        parts += ["## Versions", markdown_table(head, used)]
        known = [[name, value] for name, value in environments(report.records).items()]
        parts.append(markdown_table(["library or device", "version"], known))
    return parts
