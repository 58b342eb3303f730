"""The per-image table: one row per image, class and size, from which every aggregate is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ssl_registry.errors import DataError
from ssl_registry.evaluation import metrics
from ssl_registry.evaluation.segment import predicted_planes, resize_probabilities, truth_planes
from ssl_registry.files import write_text

if TYPE_CHECKING:
    import pandas as pd

Size = Literal["training", "native"]

_TYPES: Final[dict[str, Any]] = {
    "id": str,
    "label": str,
    "group": str,
    "class": str,
    "size": str,
    "tp": np.int64,
    "fp": np.int64,
    "fn": np.int64,
    "tn": np.int64,
    "dice": np.float64,
    "iou": np.float64,
    "precision": np.float64,
    "sensitivity": np.float64,
    "specificity": np.float64,
    "empty_truth": np.bool_,
    "empty_prediction": np.bool_,
}
COLUMNS: Final = tuple(_TYPES)


@dataclass(frozen=True)
class EvaluatedImage:
    """One image's prediction beside its truth.

    Attributes:
        id: The sample's id.
        label: Class of the whole image, if known.
        group: What several images share, such as a patient, if known.
        probabilities: float32 `[K, S, S]`, one plane per foreground class, in [0, 1].
        mask: uint8 `[S, S]` of class numbers or `[K, S, S]` of 0 and 1, at training size.
        native_mask: The same at the size of the image file, `[H, W]` or `[K, H, W]`; None leaves
            the rows of native size out (validation during training).
    """

    id: str
    label: str | None
    probabilities: NDArray[np.float32]
    mask: NDArray[np.uint8]
    native_mask: NDArray[np.uint8] | None = None
    group: str | None = None


def metrics_table(
    images: Iterable[EvaluatedImage],
    classes: Sequence[str],
    threshold: float,
    exclusive: bool,
) -> pd.DataFrame:
    """Score images one by one; only one image is held at a time.

    At native size the probabilities are enlarged bilinearly and then decided, so that native Dice
    judges what a user of the prediction would see.

    Args:
        images: The images; may be a generator.
        classes: Names of the K foreground classes.
        threshold: Probability above which a pixel is foreground.
        exclusive: Whether a pixel has at most one class; with K > 1 the most probable of the
            classes and the background wins (see `segment.predicted_planes`).

    Returns:
        A row per image, class and size (`training`, `native`), with the columns `COLUMNS`. An
        image without a label has the label "", one without a group the group "". Undefined ratios
        are NaN.

    Raises:
        DataError: A mask does not fit its probabilities or the classes; names the image.
    """
    import pandas as pd  # takes a while, and pre-training needs none

    rows = [
        row
        for image in images
        for row in _rows_of_image(image, classes, threshold=threshold, exclusive=exclusive)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)


def _rows_of_image(
    image: EvaluatedImage, classes: Sequence[str], *, threshold: float, exclusive: bool
) -> Iterator[dict[str, object]]:
    masks: dict[Size, NDArray[np.uint8]] = {"training": image.mask}
    if image.native_mask is not None:
        masks["native"] = image.native_mask
    for size, mask in masks.items():
        probabilities = image.probabilities
        if size == "native":
            height, width = mask.shape[-2:]
            probabilities = resize_probabilities(probabilities, (height, width))
        predicted = predicted_planes(probabilities, threshold, exclusive)
        if len(predicted) != len(classes):
            raise DataError(
                f"image {image.id!r}: {len(predicted)} planes of probabilities "
                f"for {len(classes)} classes"
            )
        try:
            truth = truth_planes(mask, len(classes))
            counts = [metrics.count(p, t) for p, t in zip(predicted, truth, strict=True)]
        except DataError as error:
            raise DataError(f"image {image.id!r}, {size} size: {error}") from error
        for name, of_class in zip(classes, counts, strict=True):
            head = {"id": image.id, "label": image.label or "", "group": image.group or ""}
            yield head | {"class": name, "size": size} | _scores(of_class)


def _scores(counts: metrics.Counts) -> dict[str, object]:
    return asdict(counts) | {
        "dice": metrics.dice(counts),
        "iou": metrics.iou(counts),
        "precision": metrics.precision(counts),
        "sensitivity": metrics.sensitivity(counts),
        "specificity": metrics.specificity(counts),
        "empty_truth": counts.empty_truth,
        "empty_prediction": counts.empty_prediction,
    }


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV; it appears whole or not at all. NaN is an empty cell.

    Raises:
        RunError: The folder cannot be written to.
    """
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_table(path: Path) -> pd.DataFrame:
    """Read what `write_table` wrote, exactly: same types, same bits.

    Tables from before there were groups have none.

    Raises:
        DataError: The file cannot be read or is no such table.
    """
    import pandas as pd

    ratios = [name for name, kind in _TYPES.items() if kind is np.float64]
    try:
        table = pd.read_csv(
            path,
            dtype={name: kind for name, kind in _TYPES.items() if name not in ratios},
            # Python's own float is exact; what pandas does by default depends on its version.
            converters=dict.fromkeys(ratios, _ratio),
            keep_default_na=False,
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table of metrics: {error}") from error
    if "group" not in table.columns:
        table.insert(COLUMNS.index("group"), "group", "")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{path} is no table of metrics: it lacks the columns {missing}")
    return table.astype(_TYPES)


def _ratio(cell: str) -> float:
    return float(cell) if cell else math.nan
