"""The tables of a study's report in words, for its page and for its Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry.evaluation.bootstrap import Estimate
from ssl_registry.report.numbers import DASH, mean_sd, number
from ssl_registry.report.study_tables import span
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.comparing import Against, PanelStatistics
from ssl_registry.study.method_means import MeanRow, MethodMean
from ssl_registry.study.panels import Arm, Panel, column_title
from ssl_registry.study.published import Figure

NAMES: Final = dict(zip(POLICIES, ("all images", "lesions only"), strict=True))
"""What the policies are called in tables."""
ARROWS: Final = {
    ("higher", True): "\N{BLACK UP-POINTING TRIANGLE}",
    ("higher", False): "\N{WHITE UP-POINTING TRIANGLE}",
    ("lower", True): "\N{BLACK DOWN-POINTING TRIANGLE}",
    ("lower", False): "\N{WHITE DOWN-POINTING TRIANGLE}",
}
"""Marks of a cell by its verdict, and whether its interval leaves out zero as well."""
_MINUS: Final = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Mark:
    """Whether a cell differs from its baseline: the word, and the arrow."""

    verdict: str = ""
    arrow: str = ""


@dataclass(frozen=True)
class PolicyText:
    """A cell by one policy: mean ± SD, its interval, and whether it differs from the baseline."""

    value: str
    interval: str
    mark: Mark


@dataclass(frozen=True)
class CellText:
    """A cell of a table: both policies, how many runs, and the published cell beside it."""

    policies: tuple[PolicyText, ...]
    runs: str
    published: str
    difference: str


@dataclass(frozen=True)
class ArmText:
    """A row of a table."""

    label: str
    baseline: bool
    cells: tuple[CellText | None, ...]
    steps: str


@dataclass(frozen=True)
class ComparisonText:
    """A row of the table of tests: an arm and a fraction against the baseline."""

    arm: str
    column: str
    images: str
    runs: str
    differences: tuple[str, ...]
    medians: tuple[str, ...]
    p_values: tuple[str, ...]
    adjusted: tuple[str, ...]
    marks: tuple[Mark, ...]


def arm_texts(panel: Panel, statistics: PanelStatistics) -> list[ArmText]:
    """The rows of a panel's table."""
    return [
        ArmText(
            label=arm.label,
            baseline=arm.baseline,
            cells=tuple(_cell(arm, column, statistics) for column in panel.columns),
            steps=_steps(arm),
        )
        for arm in panel.arms
    ]


def _cell(arm: Arm, column: Any, statistics: PanelStatistics) -> CellText | None:
    cell = arm.cells.get(column)
    if cell is None:
        return None
    texts = []
    for policy in POLICIES:
        key = (policy, arm.label, column)
        against, interval = statistics.against.get(key), statistics.means.get(key)
        texts.append(
            PolicyText(
                value=mean_sd(cell.summary(policy)),
                interval="" if interval is None else ends(interval),
                mark=mark_of(against),
            )
        )
    return CellText(
        policies=tuple(texts),
        runs=runs_text(cell),
        published=published_text(cell.figure),
        difference=signed(cell.difference(POLICIES[0])),
    )


def mark_of(against: Against | None) -> Mark:
    """The mark of a cell; an empty one where there is no difference, or nothing to compare."""
    if against is None or not against.verdict:
        return Mark()
    return Mark(against.verdict, ARROWS[against.verdict, against.certain])


def runs_text(cell: Cell) -> str:
    """`3 runs, 1 failed, 2 missing`; what is none is left out."""
    done = len(cell.lines)
    counts = {"run" if done == 1 else "runs": done, "failed": cell.failed, "missing": cell.missing}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def published_text(figure: Figure | None) -> str:
    """`0.723 ± 0.032`, with a star where there is a doubt; "" for none."""
    if figure is None:
        return ""
    spread = "" if math.isnan(figure.std) else f" ±\N{NO-BREAK SPACE}{figure.std:.3f}"
    return f"{figure.mean:.3f}{spread}{'*' if figure.note else ''}"


def _steps(arm: Arm) -> str:
    """Steps of pre-training + fine-tuning, for each number of them that occurs."""
    texts = []
    for cell in arm.cells.values():
        if cell.lines:
            before, after = span(cell, "pretraining_steps"), span(cell, "steps")
            texts.append(f"{before} + {after}" if before else after)
    return "; ".join(dict.fromkeys(texts)) or DASH


def comparison_texts(panel: Panel, statistics: PanelStatistics) -> list[ComparisonText]:
    """A row for each cell that was compared with the baseline."""
    rows = []
    for column in panel.columns:
        for arm in panel.arms:
            found = [statistics.against.get((policy, arm.label, column)) for policy in POLICIES]
            known = [one for one in found if one is not None]
            if known:
                rows.append(_comparison(arm.label, column_title(column), found, known[0]))
    return rows


def _images(one: Against) -> str:
    grouped = one.pairs < one.images
    return f"{one.images} in {one.pairs} groups" if grouped else str(one.images)


def _comparison(
    arm: str, column: str, found: Sequence[Against | None], known: Against
) -> ComparisonText:
    return ComparisonText(
        arm=arm,
        column=column,
        images=" / ".join(DASH if one is None else _images(one) for one in found),
        runs=f"{known.runs} / {known.baseline_runs}",
        differences=tuple(
            DASH if one is None else f"{signed(one.difference.value)} {ends(one.difference)}"
            for one in found
        ),
        medians=tuple(DASH if one is None else signed(one.median) for one in found),
        p_values=tuple(DASH if one is None else p_text(one.p) for one in found),
        adjusted=tuple(DASH if one is None else p_text(one.adjusted) for one in found),
        marks=tuple(mark_of(one) for one in found),
    )


@dataclass(frozen=True)
class MeanText:
    """A mean over methods: by policy, the published mean, the difference."""

    values: tuple[str, ...]
    missing: str
    published: str
    difference: str


def mean_texts(
    panel: Panel, rows: Sequence[MeanRow]
) -> list[tuple[str, tuple[MeanText | None, ...]]]:
    """The rows of a table of means: label and cells."""
    return [
        (row.label, tuple(_mean(row.means.get(column)) for column in panel.columns)) for row in rows
    ]


def _mean(of: MethodMean | None) -> MeanText | None:
    if of is None:
        return None
    done = len(of.done[POLICIES[0]])
    return MeanText(
        values=tuple(number(of.value(policy)) for policy in POLICIES),
        missing="" if done == of.methods else f"{done} of {of.methods} methods",
        published=published_text(of.figure),
        difference=signed(of.difference(POLICIES[0])),
    )


def ends(interval: Estimate) -> str:
    """`[0.512, 0.604]`."""
    return f"[{_plain(interval.low)}, {_plain(interval.high)}]"


def signed(value: float | None) -> str:
    """`+0.013`, with a true minus sign; "" for none."""
    if value is None or math.isnan(value):
        return ""
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text.replace("-", _MINUS)


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("-", _MINUS)


def of_labels(column: object) -> str:
    """`25 % of the labels`; "" for a study without fractions."""
    return "" if column in (None, "") else f"{column_title(column)} of the labels"


def p_text(value: float) -> str:
    """A p-value with three decimals, `< 0.001` below."""
    return "< 0.001" if value < 0.001 else number(value)


def notes(panels: Sequence[Panel], means: Sequence[Sequence[MeanRow]]) -> dict[str, str]:
    """What is doubtful about the published figures that are shown, by where they are printed."""
    figures = [c.figure for panel in panels for arm in panel.arms for c in arm.cells.values()]
    figures += [m.figure for rows in means for row in rows for m in row.means.values()]
    found: dict[str, str] = {}
    for figure in figures:
        if figure is not None and figure.note:
            found[_where(figure)] = figure.note
    return found


def _where(figure: Figure) -> str:
    axes: Mapping[str, str] = figure.axes
    words = [f"{axes['method']}", axes["pretraining_data"], column_title(axes["fraction"])]
    return f"Table {figure.table}, {', '.join(word for word in words if word != 'none')}"
