"""The tables of a study: mean and spread of each cell beside the published one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_registry.config.study import NONE
from ssl_registry.report.numbers import DASH, mean_sd
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.panels import ACROSS, column_title
from ssl_registry.study.rows import as_csv


def cells_csv(cells: Sequence[Cell]) -> str:
    """Every cell as a line: its axes, counts, steps, both policies, the published one."""
    table = [_record(cell) for cell in cells]
    names = dict.fromkeys(name for line in table for name in line)
    return as_csv(list(names), table)


def _record(cell: Cell) -> dict[str, Any]:
    record: dict[str, Any] = {"study": cell.study, **cell.axes}
    record |= {"runs": len(cell.lines), "failed": cell.failed, "missing": cell.missing}
    record |= {name: span(cell, name) for name in ("pretraining_steps", "steps")}
    for policy in POLICIES:
        summary = cell.summary(policy)
        record |= {f"{policy} mean": _digits(summary.mean), f"{policy} sd": _digits(summary.sd)}
        record[f"{policy} difference"] = _digits(cell.difference(policy))
    figure = cell.figure
    record["published table"] = figure.table if figure else ""
    record["published mean"] = figure.mean if figure else ""
    record["published sd"] = _digits(figure.std) if figure else ""
    record["note"] = figure.note if figure else ""
    return record


def _digits(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def span(cell: Cell, name: str) -> str:
    """A count that the runs of a cell share, or its range."""
    values = sorted({line[name] for line in cell.lines if line.get(name) not in (None, "")})
    return "" if not values else "-".join(dict.fromkeys((str(values[0]), str(values[-1]))))


def tables_markdown(cells: Sequence[Cell], stands_for: Mapping[str, Mapping[str, str]]) -> str:
    """A table for each part of the study and each policy, with their notes."""
    parts = []
    for study in dict.fromkeys(cell.study for cell in cells):
        of_study = [cell for cell in cells if cell.study == study]
        parts.append(f"## {study}")
        parts += [_policy(of_study, policy) for policy in POLICIES]
    for axis, names in stands_for.items():
        for ours, theirs in names.items():
            parts.append(
                f"Published figures beside `{ours}` are of `{theirs}` ({axis}): another thing, for "
                "want of the same."
            )
    parts += _notes(cells)
    return "\n\n".join(parts)


def _policy(cells: Sequence[Cell], policy: str) -> str:
    """One table: mean ± SD (runs); the published cell, and ours less the published."""
    axes = [axis for axis in cells[0].axes if axis != ACROSS]
    columns = list(dict.fromkeys(cell.axes.get(ACROSS) for cell in cells))
    rows: dict[tuple[Any, ...], dict[Any, Cell]] = {}
    for cell in cells:
        key = tuple(cell.axes[axis] for axis in axes)
        rows.setdefault(key, {})[cell.axes.get(ACROSS)] = cell
    head = [*axes, *(column_title(value) for value in columns), "steps"]
    lines = []
    for key, of_column in rows.items():
        texts = [_text(of_column.get(value), policy) for value in columns]
        steps = dict.fromkeys(_steps(cell) for cell in of_column.values() if cell.lines)
        names = [DASH if value == NONE else str(value) for value in key]
        lines.append([*names, *texts, "; ".join(steps)])
    heading = f"`{policy}`: mean ± SD (runs), the published cell in brackets, the difference."
    return f"{heading}\n\n{markdown_table(head, lines)}"


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; bars and line breaks in its cells stay where they are."""
    return "\n".join(_line(cells) for cells in (head, ["---"] * len(head), *lines))


def _line(values: Sequence[str]) -> str:
    return (
        f"| {' | '.join(' '.join(value.replace('|', chr(92) + '|').split()) for value in values)} |"
    )


def _text(cell: Cell | None, policy: str) -> str:
    if cell is None:
        return DASH
    text = f"{mean_sd(cell.summary(policy))} ({len(cell.lines)})"
    open_runs = [
        f"{n} {word}" for n, word in ((cell.failed, "failed"), (cell.missing, "missing")) if n
    ]
    if open_runs:
        text += f", {', '.join(open_runs)}"
    if cell.figure is not None:
        spread = "" if math.isnan(cell.figure.std) else f" ± {cell.figure.std:.3f}"
        text += f" [{cell.figure.mean:.3f}{spread}{'*' if cell.figure.note else ''}]"
    difference = cell.difference(policy)
    return text if difference is None else f"{text} {difference:+.3f}"


def _steps(cell: Cell) -> str:
    before = span(cell, "pretraining_steps")
    return f"{before} + {span(cell, 'steps')}" if before else span(cell, "steps")


def _notes(cells: Sequence[Cell]) -> list[str]:
    """What is doubtful about the published cells that are shown."""
    noted = {}
    for cell in cells:
        if cell.figure is not None and cell.figure.note:
            axes = ", ".join(value for value in cell.figure.axes.values() if value != NONE)
            noted[f"Table {cell.figure.table}, {axes}"] = cell.figure.note
    return [f"\\* {where}: {note}" for where, note in noted.items()]
