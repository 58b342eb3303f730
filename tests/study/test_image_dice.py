"""Dice image by image as it is resampled: its mean is the figure that the tables print."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.table import EvaluatedImage, metrics_table, write_table
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.image_dice import TABLE, CellDice, of_run


def images_of(classes: int) -> list[EvaluatedImage]:
    """Ten images; the first class is on nine of them, the second on one in four."""
    generator = np.random.default_rng(3)
    found = []
    for place in range(10):
        truth = np.zeros((classes, 12, 12), np.uint8)
        if place:
            truth[0, 1:6, 2:9] = 1
        if classes > 1 and place % 4 == 0:
            truth[1, 7:11, 2:9] = 1
        drawn = (generator.uniform(size=truth.shape) < 0.3 + 0.05 * place) & (truth == 1)
        found.append(EvaluatedImage(f"{place}", "lesion", drawn.astype(np.float32), truth))
    return found


@pytest.mark.parametrize("classes", [("lesion",), ("lesion", "cyst")])
def test_the_mean_over_images_is_the_aggregate(classes: tuple[str, ...], tmp_path: Path) -> None:
    table = metrics_table(images_of(len(classes)), classes, 0.5, exclusive=False)
    write_table(table, tmp_path / "metrics.csv")
    found, figures = of_run(tmp_path / "metrics.csv"), aggregate(table, None)
    assert found is not None
    for policy in POLICIES:
        assert np.mean(list(found.dice[policy].values())) == pytest.approx(
            figures[policy], abs=1e-12
        )


def test_with_one_class_an_image_has_its_own_dice(tmp_path: Path) -> None:
    table = metrics_table(images_of(1), ["lesion"], 0.5, exclusive=False)
    write_table(table, tmp_path / "metrics.csv")
    found = of_run(tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["empty_truth"] == "False"]
    assert found is not None
    assert found.dice["dice/lesion"] == {row["id"]: float(row["dice"]) for row in rows}


def test_images_of_a_patient_are_one_cluster(tmp_path: Path) -> None:
    patients = [None, "p", "q", "p", None, "q", "p", "q", None, ""]
    images = [
        replace(image, group=patient) for image, patient in zip(images_of(1), patients, strict=True)
    ]
    folder = StudyFolder(tmp_path)
    folder.run("a").mkdir(parents=True)
    table = metrics_table(images, ["lesion"], 0.5, exclusive=False)
    write_table(table, folder.run("a") / TABLE)
    lines = ({"run": "a", "pretraining": ""},)
    cell = Cell("s", {}, lines, failed=0, missing=0, figure=None)
    every, lesions = (CellDice(folder, cell).scores[policy] for policy in POLICIES)
    assert every is not None and every.clusters is not None
    assert every.clusters.tolist() == [0, 1, 2, 1, 3, 2, 1, 2, 4, 5]
    # The first image shows no lesion.
    assert lesions is not None and lesions.clusters is not None
    assert lesions.clusters.tolist() == [0, 1, 0, 2, 1, 0, 1, 3, 4]
    assert lesions.of_clusters[0] == pytest.approx(lesions.values[0, [0, 2, 5]].mean())

    write_table(table.drop(columns="group"), folder.run("a") / TABLE)  # as it was before
    older = CellDice(folder, cell).scores[POLICIES[0]]
    assert older is not None and older.clusters is not None
    assert older.clusters.tolist() == list(range(10))


def test_runs_of_one_pretraining_are_one_group(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    lines = []
    for name, start in (("a", "p"), ("b", "q"), ("c", "p")):
        folder.run(name).mkdir(parents=True)
        table = metrics_table(images_of(1), ["lesion"], 0.5, exclusive=False)
        write_table(table, folder.run(name) / TABLE)
        lines.append({"run": name, "pretraining": start})
    dice = CellDice(folder, Cell("s", {}, tuple(lines), failed=0, missing=0, figure=None))
    for scores in dice.scores.values():
        assert scores is not None and scores.groups.tolist() == [0, 1, 0]
