"""The panels of a study: its arms on one network and size, with a column for each fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry.config.study import NONE
from ssl_registry.study.cells import SEEDS, Cell
from ssl_registry.study.plan import Plan, PlannedRun

ACROSS: Final = "fraction"
"""The axis whose values are the columns of a panel."""
_OF_ARMS: Final = ("method", "pretraining_data", "scope")


@dataclass(frozen=True)
class Arm:
    """One way to begin: a method on a pre-training set, or none.

    Attributes:
        label: What it is called in a panel.
        axes: Its value of each axis that tells arms apart.
        baseline: Whether the others of the panel are compared with it.
        cells: By fraction, in the order of the columns; a fraction may be missing.
    """

    label: str
    axes: Mapping[str, Any]
    baseline: bool
    cells: Mapping[Any, Cell]


@dataclass(frozen=True)
class Panel:
    """What one printed table shows.

    Attributes:
        study: The part of the study.
        title: The part, and the values that all arms share.
        axes: Those values by axis.
        columns: The fractions, in the study's order; a single None where it has no such axis.
        arms: Its arms, the baseline among them.
    """

    study: str
    title: str
    axes: Mapping[str, Any]
    columns: tuple[Any, ...]
    arms: tuple[Arm, ...]

    @property
    def baseline(self) -> Arm | None:
        """The arm that starts from random weights; None if the study has none."""
        return next((arm for arm in self.arms if arm.baseline), None)


def panels(plan: Plan, cells: Sequence[Cell]) -> list[Panel]:
    """The panels of a study, in its order."""
    parts = list(dict.fromkeys(cell.study for cell in cells))
    runs = _runs_of_cells(plan)
    found = []
    for part in parts:
        of_part = [cell for cell in cells if cell.study == part]
        of_arms = _axes_of_arms(of_part)
        groups: dict[tuple[Any, ...], list[Cell]] = {}
        for cell in of_part:
            groups.setdefault(tuple(_shared(cell, of_arms).values()), []).append(cell)
        prefix = part if len(parts) > 1 else ""
        found += [_panel(group, of_arms, runs, prefix) for group in groups.values()]
    return found


def _runs_of_cells(plan: Plan) -> dict[tuple[Any, ...], PlannedRun]:
    """A run of each cell, whether or not any is done."""
    kept = [axis for axis in plan.axes if axis not in SEEDS]
    return {
        (row.study, *(row.axes.get(axis, "") for axis in kept)): plan.runs[row.run]
        for row in reversed(plan.rows)
    }


def _axes_of_arms(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Axes that tell arms apart: those of pre-training, which a baseline has no value of."""
    axes = [axis for axis in cells[0].axes if axis != ACROSS]
    without = {axis for cell in cells for axis in axes if cell.axes[axis] == NONE}
    return tuple(axis for axis in axes if axis in _OF_ARMS or axis in without)


def _shared(cell: Cell, of_arms: Sequence[str]) -> dict[str, Any]:
    return {axis: v for axis, v in cell.axes.items() if axis not in (*of_arms, ACROSS)}


def _panel(
    cells: Sequence[Cell],
    of_arms: Sequence[str],
    runs: Mapping[tuple[Any, ...], PlannedRun],
    prefix: str,
) -> Panel:
    columns = tuple(dict.fromkeys(cell.axes.get(ACROSS) for cell in cells))
    groups: dict[tuple[Any, ...], dict[Any, Cell]] = {}
    for cell in cells:
        key = tuple(cell.axes[axis] for axis in of_arms)
        groups.setdefault(key, {})[cell.axes.get(ACROSS)] = cell
    varied = [axis for place, axis in enumerate(of_arms) if len({key[place] for key in groups}) > 1]
    arms: list[Arm] = []
    for key, of_column in groups.items():
        axes = dict(zip(of_arms, key, strict=True))
        first = next(iter(of_column.values()))
        scratch = _from_scratch(runs.get((first.study, *first.axes.values())))
        baseline = scratch and not any(arm.baseline for arm in arms)
        by_column = {column: of_column[column] for column in columns if column in of_column}
        arms.append(Arm(_label(axes, varied), axes, baseline, by_column))
    shared = _shared(cells[0], of_arms)
    words = [_word(axis, value) for axis, value in shared.items() if value not in ("", NONE)]
    title = ", ".join(words) or ("all runs" if not prefix else "")
    return Panel(
        study=cells[0].study,
        title=": ".join(text for text in (prefix, title) if text),
        axes=shared,
        columns=columns,
        arms=tuple(arms),
    )


def _from_scratch(run: PlannedRun | None) -> bool:
    return run is not None and not run.needs and not run.config.get("weights")


def _label(axes: Mapping[str, Any], varied: Sequence[str]) -> str:
    shown = [str(axes[axis]) for axis in axes if axis in varied or axis == "method"]
    return ", ".join(text for text in shown if text not in ("", NONE)) or "all runs"


def _word(axis: str, value: object) -> str:
    return f"{value} px" if axis == "image_size" else str(value)


def column_title(value: object) -> str:
    """A fraction as `25 %`; `result` for a study without fractions."""
    return "result" if value in (None, "") else f"{100 * float(str(value)):g} %"
