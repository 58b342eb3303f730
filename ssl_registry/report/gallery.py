"""Images beside their truth and the predictions of one or several arms."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssl_registry.report.colors import TRUTH, prediction_color
from ssl_registry.report.contours import outlines, to_rgb
from ssl_registry.report.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GalleryItem:
    """One image of a gallery.

    Attributes:
        id: The sample's id.
        label: Class of the whole image, if known.
        image: uint8 `[H, W]` or `[H, W, 3]`, at the size of the file.
        truth: uint8 `[H, W]`: 0 is background, other values are classes.
        predictions: By arm, masks of the same size as the truth.
        dice: By arm; NaN if both masks are empty.
    """

    id: str
    label: str | None
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    predictions: Mapping[str, NDArray[np.uint8]]
    dice: Mapping[str, float]


def gallery_figure(items: Sequence[GalleryItem]) -> Figure:
    """A figure with a row per image: the image, its truth, and each arm's prediction.

    The truth is outlined in green, in the predictions' panels with a thin broken line. Save it
    with `figure_png`, or with the figure's own `savefig`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    arms = arms_of(items)
    columns, rows = 2 + len(arms), max(len(items), 1)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.04, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(2.9 * columns, 2.75 * rows), dpi=110, layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for item, row in zip(items, grid, strict=False):
        heading = item.id if item.label is None else f"{item.id}\n{item.label}"
        _panel(row[0], item, _shortened(heading))
        _panel(row[1], item, "truth")
        _outline(row[1], item.truth, TRUTH)
        for index, (arm, axes) in enumerate(zip(arms, row[2:], strict=True)):
            if arm not in item.predictions:
                continue
            _panel(axes, item, f"{arm}\n{dice_text(item, arm)}")
            _outline(axes, item.truth, TRUTH, broken=True)
            _outline(axes, item.predictions[arm], prediction_color(index))
    return figure


def figure_png(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def arms_of(items: Sequence[GalleryItem]) -> list[str]:
    """The arms that any of the items has a prediction of, in order of appearance."""
    return list(dict.fromkeys(arm for item in items for arm in item.predictions))


def dice_text(item: GalleryItem, arm: str) -> str:
    """`Dice 0.83`, or what happened where Dice says nothing."""
    dice = item.dice.get(arm, math.nan)
    if not item.truth.any():
        return "false positive" if item.predictions[arm].any() else "rightly empty"
    return f"Dice {number(float(dice), 2)}"


def _shortened(text: str, limit: int = 34) -> str:
    return "\n".join(
        line if len(line) <= limit else f"…{line[-limit + 1 :]}" for line in text.split("\n")
    )


def _panel(axes: Axes, item: GalleryItem, title: str) -> None:
    height, width = item.image.shape[:2]
    extent = (0.0, float(width), float(height), 0.0)
    axes.imshow(to_rgb(item.image), extent=extent, interpolation="bilinear")
    # Ids may hold dollar signs, which would be read as formulas.
    axes.set_title(title, fontsize=9, color="black", parse_math=False)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def _outline(axes: Axes, mask: NDArray[np.uint8], color: str, broken: bool = False) -> None:
    from matplotlib.patheffects import Normal, Stroke

    rim = [Stroke(linewidth=2.6, foreground="black", alpha=0.45), Normal()]
    for line in outlines(mask):
        axes.plot(
            line[:, 0],
            line[:, 1],
            color=color,
            linewidth=0.9 if broken else 1.5,
            linestyle=(0, (4, 2)) if broken else "solid",
            path_effects=None if broken else rim,
            solid_joinstyle="round",
        )
