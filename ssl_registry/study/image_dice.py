"""Dice image by image of the runs of a cell: what is resampled and compared."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry.errors import DataError
from ssl_registry.evaluation.two_level_bootstrap import RunScores
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.folder import StudyFolder

ALL_IMAGES, LESIONS = POLICIES
TABLE: Final = "metrics.csv"

OfImages = dict[str, float]
"""Dice by the id of an image."""
_OfClasses = dict[str, dict[str, float]]
"""Dice by the id of an image and the name of a class."""


@dataclass(frozen=True)
class ImageTable:
    """What is needed of a per-image table.

    Attributes:
        dice: By policy, the Dice of each image.
        groups: By id of an image, its group (its patient); the id itself where it has none.
    """

    dice: Mapping[str, OfImages]
    groups: Mapping[str, str]


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
        there = [table for table in tables if table is not None]
        for policy in POLICIES:
            of_policy = [table.dice[policy] for table in there]
            names = tuple(of_policy[0]) if of_policy else ()
            whole = bool(names) and len(of_policy) == len(tables)
            whole = whole and all(tuple(one) == names for one in of_policy)
            self.images[policy] = names if whole else ()
            self.scores[policy] = None
            if whole:
                of_images = [there[0].groups[name] for name in names]
                self.scores[policy] = RunScores(_matrix(of_policy), places, _numbered(of_images))


def _matrix(of_runs: list[OfImages]) -> NDArray[np.float64]:
    return np.asarray([list(one.values()) for one in of_runs], dtype=np.float64)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each name, from 0 in the order in which they come."""
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def of_run(path: Path) -> ImageTable | None:
    """Dice and groups of the images of a per-image table; None if there is no such file.

    With several classes an image's Dice is a sum over its classes, each weighted so that the mean
    over images is the aggregate's: the mean over classes of each class's mean over its images.
    A study has thousands of such files, so only what is needed of them is read.

    Raises:
        DataError: It is no such table.
    """
    if not path.is_file():
        return None
    found: dict[str, _OfClasses] = {policy: {} for policy in POLICIES}
    groups: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["size"] == "training":
                    _note(row, found)
                    # Tables from before there were groups have no such column.
                    groups[row["id"]] = row.get("group") or row["id"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as a table of metrics: {error}") from error
    return ImageTable({policy: _weighted(values) for policy, values in found.items()}, groups)


def _weighted(found: _OfClasses) -> OfImages:
    """One value for each image, whose mean over images is the mean over classes of their means."""
    counts = Counter(name for of_image in found.values() for name in of_image)
    share = {name: len(found) / (len(counts) * count) for name, count in counts.items()}
    return {
        image: math.fsum(share[name] * dice for name, dice in of_image.items())
        for image, of_image in sorted(found.items())
    }


def _note(row: Mapping[str, str], found: Mapping[str, _OfClasses]) -> None:
    """Add a line of the table to the values of its image."""
    lesion, nothing = row["empty_truth"] == "False", row["empty_prediction"] == "True"
    if lesion:
        found[LESIONS].setdefault(row["id"], {})[row["class"]] = float(row["dice"])
    dice = 1.0 if nothing and not lesion else float(row["dice"])
    found[ALL_IMAGES].setdefault(row["id"], {})[row["class"]] = dice
