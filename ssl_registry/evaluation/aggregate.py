"""Aggregates of the per-image table; each name says what is averaged and what empty counts for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ssl_registry.evaluation import metrics


def aggregate(table: pd.DataFrame, lesion_free_label: str | None) -> dict[str, float]:
    """Aggregate a table of `metrics_table` over its images.

    Names (explained in one line each by `policies.explain`), at training size:
    `dice/lesion`, `dice/lesion/<label>`, `dice/all_empty1`, `dice/global`, `iou/lesion`,
    `precision/lesion`, `sensitivity/lesion`, `detection_rate`, `normal_false_positive_rate`, and
    the counts `images`, `images/lesion`. The same with the prefix `native/` at native size, if
    the table has it, and then also `images/vanished`.

    - *Lesion* images have a non-empty truth at the size in question. A lesion that vanishes on
      shrinking makes a lesion image at native size only: at training size there is nothing to
      find, so it enters `dice/all_empty1` as an empty truth and nothing else.
    - *Normal* images have an empty truth and the label `lesion_free_label`; without such a label,
      all images with an empty truth (at native size, if the table has it) are normal.
    - `precision/lesion` is undefined where nothing is predicted; those images are left out of it
      and show in `detection_rate`.
    - With several classes, each has its own values under `class/<name>/` (lesion then means that
      class), and the plain name is their mean over the classes for which it is defined. The plain
      counts are of images with any class.

    Returns:
        Values by name; NaN where there is no image to average over.
    """
    sizes = ("training", "native") if (table["size"] == "native").any() else ("training",)
    values: dict[str, float] = {}
    for size in sizes:
        prefix = "native/" if size == "native" else ""
        at_size = _of_size(table, size, lesion_free_label)
        values |= {prefix + name: value for name, value in at_size.items()}
    if "native" in sizes:
        lesions = {size: _lesion_ids(table[table["size"] == size]) for size in sizes}
        values["images/vanished"] = float(len(lesions["native"] - lesions["training"]))
    return values


def _of_size(table: pd.DataFrame, size: str, lesion_free_label: str | None) -> dict[str, float]:
    rows = table[table["size"] == size]
    names = list(dict.fromkeys(rows["class"]))
    normal = _normal_ids(table, lesion_free_label)
    by_class = {
        name: _of_class(rows[rows["class"] == name], normal[name], lesion_free_label)
        for name in names
    }
    if len(names) == 1:
        return by_class[names[0]]
    values = _mean_over_classes(list(by_class.values()))
    values["images"] = float(rows["id"].nunique())
    values["images/lesion"] = float(len(_lesion_ids(rows)))
    for name, of_class in by_class.items():
        values |= {f"class/{name}/{metric}": value for metric, value in of_class.items()}
    return values


def _of_class(
    rows: pd.DataFrame, normal_ids: frozenset[str], lesion_free_label: str | None
) -> dict[str, float]:
    """The aggregates of one class at one size."""
    lesions = rows[~rows["empty_truth"]]
    normals = rows[rows["empty_truth"] & rows["id"].isin(normal_ids)]
    empty_is_one = rows["dice"].where(~(rows["empty_truth"] & rows["empty_prediction"]), 1.0)
    values = {
        "images": float(len(rows)),
        "images/lesion": float(len(lesions)),
        "dice/lesion": _mean(lesions["dice"]),
        "dice/all_empty1": _mean(empty_is_one),
        "dice/global": metrics.dice(
            metrics.Counts(*(int(rows[name].sum()) for name in ("tp", "fp", "fn", "tn")))
        ),
        "iou/lesion": _mean(lesions["iou"]),
        "precision/lesion": _mean(lesions["precision"].dropna()),
        "sensitivity/lesion": _mean(lesions["sensitivity"]),
        "detection_rate": _mean(lesions["dice"] > 0),
        "normal_false_positive_rate": _mean(~normals["empty_prediction"]),
    }
    labels = sorted(set(rows["label"]) - {"", lesion_free_label})
    for label in labels:
        values[f"dice/lesion/{label}"] = _mean(lesions.loc[lesions["label"] == label, "dice"])
    return values


def _mean_over_classes(by_class: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the classes where it is defined."""
    names = list(dict.fromkeys(name for values in by_class for name in values))
    table = pd.DataFrame(list(by_class), columns=names)
    return {name: _mean(table[name].dropna()) for name in names}


def _normal_ids(table: pd.DataFrame, lesion_free_label: str | None) -> dict[str, frozenset[str]]:
    """By class, the images that show nothing of it, judged at the finest size the table has."""
    finest = "native" if (table["size"] == "native").any() else "training"
    rows = table[(table["size"] == finest) & table["empty_truth"]]
    if lesion_free_label is not None:
        rows = rows[rows["label"] == lesion_free_label]
    return {
        name: frozenset(rows.loc[rows["class"] == name, "id"])
        for name in dict.fromkeys(table["class"])
    }


def _lesion_ids(rows: pd.DataFrame) -> frozenset[str]:
    return frozenset(rows.loc[~rows["empty_truth"], "id"])


def _mean(values: pd.Series) -> float:
    return float(np.mean(values.to_numpy(dtype=np.float64))) if len(values) else math.nan
