"""Testing a fine-tuned network: the per-image table, its aggregates, pictures, and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.split import Part
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.data.pool import stored_channels
from ssl_registry.errors import DataError, RunError
from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.predictor import Predictor, evaluated_images, gallery_items
from ssl_registry.evaluation.table import metrics_table, write_table
from ssl_registry.files import read_json
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.run import Run
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.weights.networks import load_network

GALLERY = 9
"""Test images in a report's gallery."""


def load_labelled(config: FinetuneConfig) -> LoadedData:
    """The dataset of a fine-tuning run, cached at training size with its masks."""
    channels = stored_channels([config.data], config.channels)
    return load_data(config.data, size=config.image_size, channels=channels, masks=True)


def masked_places(data: LoadedData, part: Part) -> NDArray[np.int64]:
    """Places of the samples of a part that have masks."""
    places = [place for place in data.places([part]) if data.samples[place].has_mask]
    return np.asarray(places, dtype=np.int64)


def predictor_of(
    network: SegmentationNetwork, data: LoadedData, config: FinetuneConfig, execution: Execution
) -> Predictor:
    """The network with the normalisation it was trained with."""
    normalize = Normalize(*config.normalization.for_channels(config.channels))
    return Predictor(network, normalize, len(data.dataset.info.classes), execution)


def score(
    predictor: Predictor, data: LoadedData, places: NDArray[np.int64], config: FinetuneConfig
) -> pd.DataFrame:
    """The per-image table of the images at `places`; no more than a batch of them is held.

    Raises:
        DataError: There are no such images.
    """
    if not len(places):
        raise DataError(f"dataset {config.data.name!r} has no test images with masks")
    info = data.dataset.info
    return metrics_table(
        evaluated_images(
            data,
            places,
            (
                probabilities
                for _, portion in predictor.portions(data.cache.images, places)
                for probabilities in portion
            ),
        ),
        info.classes,
        config.threshold,
        info.exclusive,
    )


def evaluate_run(
    run: Run,
    data: LoadedData,
    network: SegmentationNetwork,
    config: FinetuneConfig,
    execution: Execution,
    summary: Mapping[str, Any],
) -> dict[str, Any]:
    """Test on the test part; write table and report; gives the summary with the aggregates."""
    places = masked_places(data, "test")
    predictor = predictor_of(network, data, config, execution)
    table = score(predictor, data, places, config)
    aggregates = aggregate(table, data.dataset.info.lesion_free_label)
    write_table(table, run.folder.path / "metrics.csv")
    dice = image_dice(table)
    shown = choose_places(data, places, dice)
    probabilities = predictor.probabilities(data.cache.images[np.asarray(shown)])
    by_place = dict(zip(shown, probabilities, strict=True))
    gallery = gallery_items(
        data, shown, {"prediction": by_place}, {"prediction": dice}, config.threshold
    )
    run.write_report(summary, table, aggregates, gallery)
    return {**summary, "test": {name: finite_or_none(value) for name, value in aggregates.items()}}


def image_dice(table: pd.DataFrame) -> dict[str, float]:
    """Dice at native size by image, the mean over its classes."""
    native = table[table["size"] == "native"]
    means = native.groupby("id", sort=False)["dice"].mean()
    return {str(name): float(value) for name, value in means.items()}


def choose_places(
    data: LoadedData, places: NDArray[np.int64], dice: Mapping[str, float], count: int = GALLERY
) -> list[int]:
    """Images for a gallery: of every label, from its best Dice to its worst in even steps.

    Of more labels than `count` so many are shown, with an image each.
    """
    by_label: dict[str, list[int]] = {}
    for place in places.tolist():
        by_label.setdefault(data.samples[place].label or "", []).append(place)
    lesion_free = data.dataset.info.lesion_free_label
    labels = sorted(by_label, key=lambda label: (label == lesion_free, label))
    if len(labels) > count:
        labels = [labels[round(step)] for step in np.linspace(0, len(labels) - 1, count)]
    shares = {label: count // len(labels) for label in labels}
    if lesion_free in shares and len(labels) > 1:
        # One image without a lesion tells as much as three.
        shares[lesion_free] = 1
        with_lesion = [label for label in labels if label != lesion_free]
        shares |= {label: (count - 1) // len(with_lesion) for label in with_lesion}
    chosen = []
    for label in labels:
        ranked = sorted(
            by_label[label], key=lambda place: -_rank(dice.get(data.samples[place].id, math.nan))
        )
        steps = np.linspace(0, len(ranked) - 1, min(shares[label], len(ranked)))
        chosen += [ranked[round(step)] for step in steps]
    return chosen


def _rank(value: float) -> float:
    return 2.0 if math.isnan(value) else value


def finite_or_none(value: float) -> float | None:
    """JSON knows no NaN: what is undefined becomes null."""
    return value if math.isfinite(value) else None


def open_finetuning(path: Path) -> tuple[RunFolder, dict[str, Any], FinetuneConfig]:
    """The folder, record and config of a finished fine-tuning run.

    Raises:
        RunError: The folder holds no such run.
    """
    folder = RunFolder(path)
    if not (path / "config.json").is_file():
        raise RunError(f"{path} holds no run: it has no config.json")
    record = read_json(path / "config.json")
    if not isinstance(record, dict) or not {"id", "kind", "config", "data"} <= record.keys():
        raise RunError(f"{path} holds no run: its config.json is not of a run")
    if record["kind"] != "finetune":
        raise RunError(f"{path} is a {record['kind']} run; only fine-tuning runs are evaluated")
    if not folder.finished:
        raise RunError(f"the run in {path} has not finished; go on with it by --resume")
    return folder, record, validate(FinetuneConfig, record["config"], str(path / "config.json"))


def run_evaluation(path: Path, device: str) -> dict[str, float]:
    """Test a finished fine-tuning run anew from its weights; gives the aggregates by name.

    Args:
        path: The run's folder.
        device: Where to compute, whatever the run was trained on.
    """
    folder, record, config = open_finetuning(path)
    execution = choose_execution(config.training.model_copy(update={"device": device}))
    data = load_labelled(config)
    check_same_data(data, record, path)
    network, _ = load_network(folder.weights)
    execution.place(network)
    summary = read_json(path / "summary.json")
    run = Run("finetune", folder, record)
    summary = evaluate_run(run, data, network, config, execution, summary)
    folder.finish(summary)
    return {name: math.nan if v is None else v for name, v in summary["test"].items()}


def check_same_data(data: LoadedData, record: Mapping[str, Any], path: Path) -> None:
    """Make sure that data are those of the run in `path`, which `record` describes.

    Raises:
        DataError: The split or the pixels differ.
    """
    before, now = record["data"][0], data.describe()
    differing = [
        word
        for key, word in (("split", "split"), ("fingerprint", "pixels"))
        if before.get(key) != now[key]
    ]
    if differing:
        raise DataError(
            f"the data of the run in {path} are not those it was trained on "
            f"({' and '.join(differing)} differ), so that its test images may be among the "
            f"training images; restore the dataset {now['name']!r} as it was"
        )


def probabilities_of(
    path: Path, data: LoadedData, places: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """Probabilities of a finished run's network for the images at `places`, by place."""
    folder, _, config = open_finetuning(path)
    execution = choose_execution(config.training)
    network, _ = load_network(folder.weights)
    execution.place(network)
    predictor = predictor_of(network, data, config, execution)
    chosen = np.asarray(places, dtype=np.int64)
    return dict(zip(places, predictor.probabilities(data.cache.images[chosen]), strict=True))
