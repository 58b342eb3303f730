"""A comparison: one pre-training, then fine-tuning with and without it over several seeds."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.errors import ConfigError
from ssl_registry.evaluation.predictor import gallery_items
from ssl_registry.evaluation.table import read_table
from ssl_registry.files import read_json, write_bytes
from ssl_registry.progress import say
from ssl_registry.provenance import resolved
from ssl_registry.report.comparison_report import (
    ComparisonReport,
    headlines,
    write_comparison_report,
)
from ssl_registry.report.gallery import GalleryItem, figure_png, gallery_figure
from ssl_registry.training.finetune import run_finetuning
from ssl_registry.training.pretrain import run_pretraining
from ssl_registry.training.run_folder import RunFolder, check_writable
from ssl_registry.training.testing import (
    choose_places,
    image_dice,
    load_labelled,
    masked_places,
    probabilities_of,
)

SCRATCH = "from scratch"
PRETRAINED = "pre-trained"
DECIDED = frozenset({"weights", "scope", "seed"})
"""Settings of a fine-tuning that a comparison decides for each of its runs."""


def run_comparison(config: ComparisonConfig, out: Path) -> Path:
    """Run, or finish, the comparison in folder `out`; gives the path of its report.

    Each run has its own folder in `out`; a run that is there is not done again. Every
    other picture of the report is also written into `gallery.png`.

    Raises:
        ConfigError: The fine-tuning sets what the comparison decides: weights, scope or seed.
    """
    _check_free(config.finetune)
    check_writable(out)
    started = time.monotonic()
    pretraining = run_pretraining(config.pretrain, out / "pretraining", resume=True)
    arms = {
        SCRATCH: config.finetune.model_copy(update={"weights": None}),
        PRETRAINED: config.finetune.model_copy(
            update={"weights": pretraining / "weights", "scope": config.pretrain.scope}
        ),
    }
    runs = {
        arm: [_finetune(arm, arm_config, seed, out) for seed in config.seeds]
        for arm, arm_config in arms.items()
    }
    report = _report(config, pretraining, runs, time.monotonic() - started)
    path = out / "report.html"
    write_comparison_report(path, report)
    write_bytes(out / "gallery.png", figure_png(gallery_figure(report.gallery[::2])))
    for sentence in headlines(report):
        say(sentence, sys.stdout)
    return path


def _check_free(config: FinetuneConfig) -> None:
    fixed = sorted(DECIDED & config.model_fields_set)
    if fixed:
        keys = ", ".join(f"finetune.{key}" for key in fixed)
        raise ConfigError(
            f"a comparison decides {keys} itself; remove it (seeds go into the list `seeds`, "
            "weights and scope come from the pre-training)"
        )


def _finetune(arm: str, config: FinetuneConfig, seed: int, out: Path) -> Path:
    say(f"fine-tuning {arm}, seed {seed}", sys.stderr)
    folder = out / f"{arm.replace(' ', '-')}-seed-{seed}"
    return run_finetuning(config.model_copy(update={"seed": seed}), folder, resume=True)


def _report(
    config: ComparisonConfig, pretraining: Path, runs: Mapping[str, list[Path]], seconds: float
) -> ComparisonReport:
    summaries = {arm: [read_json(run / "summary.json") for run in of] for arm, of in runs.items()}
    first = read_json(next(iter(runs.values()))[0] / "config.json")
    before = read_json(pretraining / "summary.json")
    record = read_json(pretraining / "config.json")
    any_run = next(iter(summaries.values()))[0]
    components = {tuple(c.values()): c for c in (*record["components"], *first["components"])}
    return ComparisonReport(
        title=config.title,
        seeds=config.seeds,
        arms={arm: [_numbers(s["test"]) for s in of] for arm, of in summaries.items()},
        logs={arm: [RunFolder(run).read_log() for run in of] for arm, of in runs.items()},
        gallery=_gallery(config.finetune, {arm: of[0] for arm, of in runs.items()}),
        pretraining_log=RunFolder(pretraining).read_log(),
        wall_times={
            "pre-training": before["wall_seconds"],
            **{arm: sum(s["wall_seconds"] for s in of) for arm, of in summaries.items()},
            "everything": seconds,
        },
        summary={
            "pre-training images": before["images"],
            "pre-training steps": before["steps"],
            "labelled images": any_run["labelled_images"],
            "fine-tuning steps": any_run["steps"],
            "test images": int(any_run["test"]["images"]),
        },
        config=resolved(config),
        provenance=list(components.values()),
        environment=first["environment"],
    )


def _gallery(config: FinetuneConfig, runs: Mapping[str, Path]) -> list[GalleryItem]:
    """The same test images with the prediction of each arm's first seed."""
    data = load_labelled(config)
    dice = {arm: image_dice(read_table(run / "metrics.csv")) for arm, run in runs.items()}
    mean = {name: float(np.mean([of[name] for of in dice.values()])) for name in dice[SCRATCH]}
    places = choose_places(data, masked_places(data, "test"), mean)
    predictions: dict[str, dict[int, NDArray[np.float32]]] = {
        arm: probabilities_of(run, data, places) for arm, run in runs.items()
    }
    return gallery_items(data, places, predictions, dice, config.threshold)


def _numbers(aggregates: Mapping[str, Any]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in aggregates.items()}
