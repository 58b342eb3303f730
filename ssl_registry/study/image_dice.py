"""Dice image by image of the runs of a cell: what is resampled and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry.evaluation.table import read_table
from ssl_registry.evaluation.two_level_bootstrap import RunScores
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.folder import StudyFolder

if TYPE_CHECKING:
    import pandas as pd

ALL_IMAGES, LESIONS = POLICIES
TABLE: Final = "metrics.csv"

OfImages = dict[str, float]
"""Dice by the id of an image."""


class CellDice:
    """Dice by policy and image of each run of a cell, at training size.

    Attributes:
        images: By policy, the ids of the images.
        scores: By policy, the values of the runs; None where the runs have no per-image table,
            or are not of the same images.
    """

    def __init__(self, folder: StudyFolder, cell: Cell) -> None:
        tables = [of_run(folder.run(line["run"]) / TABLE) for line in cell.lines]
        groups = list(dict.fromkeys(line["pretraining"] for line in cell.lines))
        places = np.asarray([groups.index(line["pretraining"]) for line in cell.lines])
        self.images: dict[str, tuple[str, ...]] = {}
        self.scores: dict[str, RunScores | None] = {}
        for policy in POLICIES:
            of_policy = [table[policy] for table in tables if table is not None]
            names = tuple(of_policy[0]) if of_policy else ()
            whole = bool(names) and len(of_policy) == len(tables)
            whole = whole and all(tuple(one) == names for one in of_policy)
            self.images[policy] = names if whole else ()
            self.scores[policy] = RunScores(_matrix(of_policy), places) if whole else None


def _matrix(of_runs: list[OfImages]) -> NDArray[np.float64]:
    return np.asarray([list(one.values()) for one in of_runs], dtype=np.float64)


def of_run(path: Path) -> dict[str, OfImages] | None:
    """By policy, the Dice of each image of a per-image table; None if there is no such file.

    With several classes an image's Dice is the mean over the classes for which it is defined.

    Raises:
        DataError: It is no such table.
    """
    if not path.is_file():
        return None
    table = read_table(path)
    rows = table[table["size"] == "training"]
    empty = rows["empty_truth"] & rows["empty_prediction"]
    return {
        ALL_IMAGES: _means(rows.assign(dice=rows["dice"].where(~empty, 1.0))),
        LESIONS: _means(rows[~rows["empty_truth"]]),
    }


def _means(rows: pd.DataFrame) -> OfImages:
    means = rows.groupby("id", sort=True)["dice"].mean()
    return {str(name): float(value) for name, value in means.items()}
