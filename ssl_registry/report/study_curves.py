"""Curves of Dice against the share of labels: a picture for each panel of a study and policy."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ssl_registry.evaluation.bootstrap import Estimate
from ssl_registry.report.colors import INK, LINES, line_color
from ssl_registry.study.panels import Arm, Panel, column_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
DASHES: Final = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_BESIDE: Final = 0.03
"""How far apart the error bars of two arms stand, as a share of the distance of two fractions."""
_SPREAD: Final = 0.18
"""How far apart those of all arms stand at most."""

Means = Mapping[tuple[str, str, Any], Estimate]


@dataclass(frozen=True)
class Style:
    """How an arm is drawn: colour by what it was pre-trained on, marker and dash by method.

    Attributes:
        color: Of line, marker and bars.
        marker: Matplotlib's name of the marker.
        dash: Number of the dash in `DASHES`.
        baseline: Whether the arm is the panel's baseline, which is drawn bold.
    """

    color: str
    marker: str
    dash: int
    baseline: bool


def arm_styles(panel: Panel) -> dict[str, Style]:
    """The style of each arm of a panel, by label; no two are alike.

    Where there are more pre-training sets than colours, these are taken again with the markers and
    dashes that no method has yet.
    """
    arms = [arm for arm in panel.arms if not arm.baseline]
    rests = list(dict.fromkeys(_rest(arm) for arm in arms))
    methods = list(dict.fromkeys(_method(arm) for arm in arms))
    styles = {arm.label: Style(INK, MARKERS[0], 0, True) for arm in panel.arms if arm.baseline}
    for arm in arms:
        number = rests.index(_rest(arm))
        shape = number // len(LINES) * len(methods) + methods.index(_method(arm))
        # Markers and dashes have no common divisor: one for one they give all their pairs.
        marker, dash = MARKERS[shape % len(MARKERS)], shape % len(DASHES)
        styles[arm.label] = Style(line_color(number), marker, dash, False)
    return {arm.label: styles[arm.label] for arm in panel.arms}


def _method(arm: Arm) -> str:
    return str(arm.axes.get("method", ""))


def _rest(arm: Arm) -> tuple[str, ...]:
    return tuple(str(value) for axis, value in arm.axes.items() if axis != "method")


def panel_figure(
    panel: Panel, policy: str, means: Means, y_label: str, *, legend: bool = False
) -> Figure | None:
    """Draw the arms of a panel: mean over runs, and its 95 % interval over runs and images.

    Points and lines lie exactly at their fraction, and bars beside one another, so that none hides
    another.

    Args:
        panel: The panel.
        policy: Name of the aggregate.
        means: Intervals by policy, arm and column; a cell without one is a point alone.
        y_label: What the vertical axis is called.
        legend: Whether the arms are named in the figure.

    Returns:
        The figure, or None where no run has finished.
    """
    from matplotlib.figure import Figure

    columns = sorted(panel.columns, key=lambda value: value if value is not None else 0)
    # A legend of many arms needs a higher figure.
    size = (9.4, max(4.1, 0.4 + 0.21 * len(panel.arms))) if legend else (6.2, 4.1)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    _style(axes, y_label)
    axes.set_xticks(range(len(columns)), [column_title(value) for value in columns])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xlabel("share of the labels", color=INK)
    styles = arm_styles(panel)
    drawn, apart = 0, min(_BESIDE, _SPREAD / len(panel.arms))
    for number, arm in enumerate(panel.arms):
        shift = apart * (number - (len(panel.arms) - 1) / 2)
        drawn += _draw(axes, arm, styles[arm.label], policy, means, columns, shift)
    if not drawn:
        return None
    if legend:
        axes.legend(
            frameon=False, labelcolor=INK, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5)
        )
    return figure


def _draw(
    axes: Axes,
    arm: Arm,
    style: Style,
    policy: str,
    means: Means,
    columns: list[Any],
    shift: float,
) -> bool:
    """Draw one arm, its bars moved sideways by `shift`; False if it has no run."""
    points = [
        (place, cell.summary(policy).mean, means.get((policy, arm.label, column)))
        for place, column in enumerate(columns)
        if (cell := arm.cells.get(column)) is not None and cell.values(policy)
    ]
    if not points:
        return False
    x, y = [p[0] for p in points], [p[1] for p in points]
    below = [0.0 if e is None else max(0.0, v - e.low) for _, v, e in points]
    above = [0.0 if e is None else max(0.0, e.high - v) for _, v, e in points]
    axes.errorbar(
        [place + shift for place in x],
        y,
        yerr=[below, above],
        fmt="none",
        ecolor=style.color,
        elinewidth=1.1,
        alpha=0.55,
    )
    axes.plot(
        x,
        y,
        color=style.color,
        marker=style.marker,
        markersize=5.5,
        linewidth=2.6 if style.baseline else 1.4,
        linestyle=DASHES[style.dash],
        label=arm.label.replace("$", r"\$"),
        zorder=3 if style.baseline else 2,
    )
    return True


def _style(axes: Axes, y_label: str) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK)
    axes.grid(axis="y", color=INK, alpha=0.2, linewidth=0.6)
    axes.set_ylabel(y_label, color=INK)


def figure_svg(figure: Figure) -> str:
    """A figure as a data URI of an SVG picture; the same figure gives the same bytes."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "ssl_registry"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
