"""The picture of a dataset's statistics: sizes, brightness, areas, and masks that vanish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssl_registry.report.colors import LINES, line_color

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def statistics_figure(table: pd.DataFrame, title: str) -> Figure:
    """Four panels: width and height, mean brightness, areas of each class, share that vanishes.

    Args:
        table: What `ssl_registry.data.statistics.image_statistics` gives.
        title: Heads the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(2, 2)
    _sizes(panels[0, 0], table)
    _brightness(panels[0, 1], table)
    classes = [name.removeprefix("area/") for name in map(str, table) if name.startswith("area/")]
    if classes:
        _areas(panels[1, 0], table, classes)
        _lost(panels[1, 1], table, classes)
    else:
        for axes in panels[1]:
            axes.axis("off")
        panels[1, 0].text(0.0, 0.9, "no masks")
    return figure


def _sizes(axes: Axes, table: pd.DataFrame) -> None:
    counts = table.groupby(["width", "height"]).size().reset_index(name="images")
    axes.scatter(
        counts["width"],
        counts["height"],
        s=8 + 12 * np.sqrt(counts["images"]),
        alpha=0.5,
        color=LINES[2],
    )
    axes.set(xlabel="width, px", ylabel="height, px", title="size of the images")
    axes.margins(0.1)


def _brightness(axes: Axes, table: pd.DataFrame) -> None:
    bins = np.linspace(0, 255, 52).tolist()
    for number, (label, rows) in enumerate(table.groupby(table["label"].fillna("no label"))):
        if number == len(LINES):
            axes.plot([], [], " ", label="and more")
            break
        axes.hist(
            rows["mean"],
            bins,
            histtype="step",
            linewidth=1.6,
            color=line_color(number),
            label=f"{label} ({len(rows)})",
        )
    axes.set(xlabel="mean gray value of an image", ylabel="images", title="brightness")
    axes.legend(frameon=False, fontsize=8)


def _areas(axes: Axes, table: pd.DataFrame, classes: list[str]) -> None:
    bins = np.geomspace(1e-4, 1, 41).tolist()
    for number, name in enumerate(classes):
        areas = table[f"area/{name}"].dropna()
        axes.hist(
            areas.clip(lower=1e-4),
            bins,
            histtype="step",
            linewidth=1.6,
            color=line_color(number),
            label=f"{name} ({len(areas)})",
        )
    axes.set(xlabel="share of the image", ylabel="images", title="area of the masks")
    axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=8)


def _lost(axes: Axes, table: pd.DataFrame, classes: list[str]) -> None:
    for number, name in enumerate(classes):
        prefix = f"lost/{name}@"
        columns = [column for column in map(str, table) if column.startswith(prefix)]
        sizes = [int(column.removeprefix(prefix)) for column in columns]
        shares = [100 * table[column].dropna().astype(float).mean() for column in columns]
        axes.plot(sizes, shares, "o-", color=line_color(number), label=name)
    axes.set(
        xlabel="side of the shrunk image, px",
        ylabel="masks without a pixel left, %",
        title="masks that vanish",
    )
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
