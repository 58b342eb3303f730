"""Curves of a log and the dot plot of seeds, as SVG pictures that read on white and on black."""

from __future__ import annotations

import base64
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ssl_registry.evaluation.statistics import mean
from ssl_registry.report.colors import INK, line_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, object]

_AXES: Final = ("epoch", "step")
_CLOCKS: Final = ("seconds", "time", "elapsed")


@dataclass(frozen=True)
class Curve:
    """One line: its name, its points, and the number of its colour.

    Several curves of the same label are runs of the same arm: each is drawn thin, their mean bold.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    color: int = 0


def scalars(log: Sequence[Row]) -> list[str]:
    """The names of what a log records over time, in order of appearance, axes and clocks left out.

    A row without a key, or with a value that is no finite number, has no point for it.
    """
    names = dict.fromkeys(
        name for row in log for name, value in row.items() if _finite(value) is not None
    )
    return [name for name in names if name not in _AXES and not name.endswith(_CLOCKS)]


def x_axis(log: Sequence[Row]) -> str:
    """`epoch` if it rises with every row, else `step` if that does, else `row`."""
    for name in _AXES:
        values = [_finite(row.get(name)) for row in log]
        known = [value for value in values if value is not None]
        rising = all(a < b for a, b in itertools.pairwise(known))
        if known and len(known) == len(values) and rising:
            return name
    return "row"


def curve(log: Sequence[Row], name: str, label: str | None = None, color: int = 0) -> Curve:
    """The points of one scalar of a log."""
    axis = x_axis(log)
    points = [
        (float(number) if axis == "row" else _finite(row[axis]) or 0.0, value)
        for number, row in enumerate(log)
        if (value := _finite(row.get(name))) is not None
    ]
    return Curve(label or name, tuple(x for x, _ in points), tuple(y for _, y in points), color)


def curves_svg(curves: Sequence[Curve], x_label: str, y_label: str) -> str:
    """Draw curves into one SVG picture.

    Returns:
        A data URI.
    """
    with _figure(y_label) as (axes, uri):
        axes.set_xlabel(x_label)
        groups: dict[str, list[Curve]] = {}
        for one in curves:
            groups.setdefault(one.label, []).append(one)
        for label, group in groups.items():
            _draw_group(axes, label, group)
        if len(groups) > 1:
            axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return uri[0]


def _draw_group(axes: Axes, label: str, group: Sequence[Curve]) -> None:
    color = line_color(group[0].color)
    together = len(group) > 1 and len({one.x for one in group}) == 1
    for number, one in enumerate(group):
        axes.plot(
            one.x,
            one.y,
            color=color,
            linewidth=0.9 if len(group) > 1 else 1.8,
            alpha=0.45 if len(group) > 1 else 1.0,
            marker="o" if len(one.x) == 1 else None,
            label="_" if together or number else label,
        )
    if together:
        middle = [mean(values) for values in zip(*(one.y for one in group), strict=True)]
        axes.plot(group[0].x, middle, color=color, linewidth=2.0, label=label)


def seeds_svg(values: Mapping[str, Sequence[float]], y_label: str) -> str:
    """A dot per seed and arm, the dots of one seed joined, and a bar at each arm's mean.

    Returns:
        A data URI.
    """
    with _figure(y_label) as (axes, uri):
        arms = list(values)
        count = max((len(of_arm) for of_arm in values.values()), default=0)
        for seed in range(count):
            joined = [
                (i, values[arm][seed]) for i, arm in enumerate(arms) if seed < len(values[arm])
            ]
            axes.plot(*zip(*joined, strict=True), color=INK, linewidth=0.8, alpha=0.6, zorder=1)
        for number, arm in enumerate(arms):
            of_arm = values[arm]
            color = line_color(number)
            axes.scatter([number] * len(of_arm), of_arm, s=42, color=color, zorder=3)
            middle = mean(of_arm)
            if math.isfinite(middle):
                axes.hlines(middle, number - 0.16, number + 0.16, color=color, linewidth=2.4)
        axes.set_xticks(range(len(arms)), arms, parse_math=False)
        axes.set_xlim(-0.5, max(len(arms) - 0.5, 0.5))
    return uri[0]


@contextmanager
def _figure(y_label: str) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; when the block ends, the list holds the picture's data URI."""
    import matplotlib
    from matplotlib.figure import Figure

    # Fixed ids and no date: the same log gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "ssl_registry", "font.size": 10}):
        figure = Figure(figsize=(5.6, 3.3), layout="constrained")
        axes = figure.add_subplot()
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(INK)
        axes.tick_params(colors=INK)
        axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
        axes.xaxis.label.set_color(INK)
        axes.set_ylabel(y_label, color=INK, parse_math=False)
        uri: list[str] = []
        yield axes, uri
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
        uri.append(f"data:image/svg+xml;base64,{encoded}")


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None
