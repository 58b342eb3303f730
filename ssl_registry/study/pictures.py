"""Test images with the predictions of all arms of a panel, from the weights that runs keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_registry.errors import UserError
from ssl_registry.evaluation.predictor import gallery_items
from ssl_registry.evaluation.table import read_table
from ssl_registry.report.gallery import GalleryItem
from ssl_registry.study.cells import Cell
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.image_dice import TABLE
from ssl_registry.study.panels import Panel
from ssl_registry.training.testing import (
    check_same_data,
    choose_places,
    image_dice,
    load_labelled,
    masked_places,
    open_finetuning,
    probabilities_of,
)

IMAGES = 7
"""Images of a gallery: three of each kind of lesion, of two, and one without."""


@dataclass(frozen=True)
class Gallery:
    """The same test images for all arms of a panel.

    Attributes:
        column: The fraction whose networks drew the masks.
        items: The images.
        absent: Which arms are not in it and why, in sentences.
    """

    column: Any
    items: tuple[GalleryItem, ...]
    absent: tuple[str, ...]


def panel_gallery(folder: StudyFolder, panel: Panel) -> Gallery:
    """The gallery of a panel.

    It shows the fraction for which most arms keep weights, the largest of several; images of
    every label, from the best Dice to the worst of the mean of all arms. Where data or weights
    cannot be read, it says so and has no images.
    """
    kept: dict[Any, dict[str, Path]] = {column: {} for column in panel.columns}
    for arm in panel.arms:
        for column, cell in arm.cells.items():
            run = _with_weights(folder, cell)
            if run is not None:
                kept[column][arm.label] = run
    column = max(kept, key=lambda one: (len(kept[one]), one or 0))
    runs = kept[column]
    if not runs:
        return Gallery(column, (), ("No finished run keeps weights.",))
    without = [arm.label for arm in panel.arms if arm.label not in runs]
    absent = [f"No finished run keeps weights of: {'; '.join(without)}."] if without else []
    try:
        return Gallery(column, tuple(_items(runs)), tuple(absent))
    except UserError as error:
        return Gallery(column, (), (str(error),))


def _with_weights(folder: StudyFolder, cell: Cell) -> Path | None:
    """The first finished run of a cell that keeps its network and its per-image table."""
    for line in cell.lines:
        run = folder.run(line["run"])
        if (run / "weights" / "ssl_registry.json").is_file() and (run / TABLE).is_file():
            return run
    return None


def _items(runs: Mapping[str, Path]) -> list[GalleryItem]:
    """Images with the prediction of each run, all of which are of the same data.

    Raises:
        UserError: The data are not there, or not those of the runs.
    """
    opened = {label: open_finetuning(run) for label, run in runs.items()}
    config = next(iter(opened.values()))[2]
    data = load_labelled(config)
    for label, (_, record, _) in opened.items():
        check_same_data(data, record, runs[label])
    dice = {label: image_dice(read_table(run / TABLE)) for label, run in runs.items()}
    names = next(iter(dice.values()))
    mean = {name: float(np.mean([of[name] for of in dice.values()])) for name in names}
    places = choose_places(data, masked_places(data, "test"), mean, IMAGES)
    predictions: dict[str, dict[int, NDArray[np.float32]]] = {
        label: probabilities_of(run, data, places) for label, run in runs.items()
    }
    return gallery_items(data, places, predictions, dice, config.threshold)
