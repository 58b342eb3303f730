"""Folders of studies whose runs were made up: real plans and tables, no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.table import EvaluatedImage, metrics_table, write_table
from ssl_registry.study.expand import plan_study
from ssl_registry.study.folder import Failure, StudyFolder
from ssl_registry.study.plan import PlannedRun
from ssl_registry.study.source import read_study

LABELS = ("benign", "malignant", "normal")
Quality = Callable[[PlannedRun], float | None]


def made_up(
    path: Path, study: str, quality: Quality, images: int = 12, warnings: tuple[str, ...] = ()
) -> StudyFolder:
    """A study's folder as its runs would have left it.

    Args:
        path: Where.
        study: Its file, or the name of a shipped one.
        quality: Of a run, how well it segments, in [0, 1]; None for a run that failed, NaN for
            one that is still to be done.
        images: Test images of each run.
        warnings: What pre-trainings warned of.
    """
    source = read_study(study)
    plan = plan_study(source)
    folder = StudyFolder(path)
    folder.begin(source.text, plan)
    for number, run in enumerate(plan.runs.values()):
        good = quality(run)
        if good is None:
            folder.record_failure(run.id, Failure(3, "RuntimeError: <b>no & memory</b>", True))
        elif good == good:
            _finish(folder.run(run.id), run, good, images, warnings, number)
    return folder


def _finish(
    path: Path, run: PlannedRun, good: float, images: int, warnings: tuple[str, ...], number: int
) -> None:
    path.mkdir()
    steps = run.config["training"]["steps"] or 100
    summary: dict[str, Any] = {"steps": steps, "wall_seconds": 12.5 + number, "epochs": 3.0}
    if run.kind == "pretrain":
        summary |= {"images": 63, "loss": 2.5, "effective_rank": 1.8, "warnings": list(warnings)}
    else:
        table = metrics_table(_images(good, images, number), ["lesion"], 0.5, True)
        write_table(table, path / "metrics.csv")
        test = {k: None if v != v else v for k, v in aggregate(table, "normal").items()}
        summary |= {"labelled_images": 21, "warnings": [], "test": test}
    record = {
        "id": run.id,
        "kind": run.kind,
        "config": dict(run.config),
        "components": [{"kind": "backbone", "name": "unet", "plugin": "unet", "version": "1.2"}],
        "data": [
            {
                "name": "phantom",
                "images": {"train": 42, "val": 6, "test": images},
                "unreadable": [],
                "fingerprint": "f" * 64,
                "split": "5" * 64,
                "licence": "CC0",
            }
        ],
        "environment": {"torch": "2.15.0", "device": "cpu"},
    }
    (path / "config.json").write_text(json.dumps(record))
    (path / "summary.json").write_text(json.dumps(summary))


def _images(good: float, count: int, number: int) -> list[EvaluatedImage]:
    """Squares, and predictions that miss more of them the worse a run is."""
    generator = np.random.default_rng(number)
    found = []
    for place in range(count):
        label = LABELS[place % 3]
        truth = np.zeros((16, 16), np.uint8)
        if label != "normal":
            truth[3 : 8 + place % 5, 4:12] = 1
        hit = generator.uniform(size=truth.shape) < good
        false = generator.uniform(size=truth.shape) < 0.02 * (1 - good)
        probabilities = ((truth == 1) & hit | false).astype(np.float32)[None]
        found.append(EvaluatedImage(f"{label}/{place}", label, probabilities, truth, truth))
    return found
