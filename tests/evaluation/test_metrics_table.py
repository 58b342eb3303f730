from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ssl_registry.errors import DataError, RunError
from ssl_registry.evaluation import metrics
from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.policies import explain
from ssl_registry.evaluation.segment import (
    predicted_mask,
    predicted_planes,
    resize_probabilities,
    truth_planes,
)
from ssl_registry.evaluation.table import (
    COLUMNS,
    EvaluatedImage,
    metrics_table,
    read_table,
    write_table,
)


def image(
    name: str,
    predicted: list[list[int]],
    truth: list[list[int]],
    label: str | None = None,
    native: np.ndarray | None = None,
) -> EvaluatedImage:
    return EvaluatedImage(
        id=name,
        label=label,
        probabilities=np.asarray(predicted, dtype=np.float32)[None],
        mask=np.asarray(truth, dtype=np.uint8),
        native_mask=native,
    )


NONE = [[0, 0], [0, 0]]


@pytest.fixture
def five_cases() -> list[EvaluatedImage]:
    """Perfect, half, miss, false positive on empty, both empty."""
    return [
        image("perfect", [[1, 1], [0, 0]], [[1, 1], [0, 0]], "benign"),
        image("half", [[1, 0], [0, 0]], [[1, 1], [0, 0]], "malignant"),
        image("miss", NONE, [[1, 1], [0, 0]], "malignant"),
        image("false positive", [[1, 1], [0, 0]], NONE, "normal"),
        image("both empty", NONE, NONE, "normal"),
    ]


def test_counts_agree_with_a_pixel_loop() -> None:
    generator = np.random.default_rng(0)
    prediction, truth = generator.random((2, 7, 9)) > 0.6
    slow = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for p, t in zip(prediction.flat, truth.flat, strict=True):
        slow[("t" if p == t else "f") + ("p" if p else "n")] += 1
    assert metrics.count(prediction, truth) == metrics.Counts(**slow)


def test_undefined_ratios_are_nan() -> None:
    both_empty = metrics.Counts(0, 0, 0, 4)
    for metric in (metrics.dice, metrics.iou, metrics.precision, metrics.sensitivity):
        assert math.isnan(metric(both_empty))
    assert metrics.specificity(both_empty) == 1
    assert math.isnan(metrics.specificity(metrics.Counts(4, 0, 0, 0)))
    assert math.isnan(metrics.precision(metrics.Counts(0, 0, 2, 2)))


def test_count_refuses_other_shapes() -> None:
    with pytest.raises(DataError, match="shape"):
        metrics.count(np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def test_five_cases_by_hand(five_cases: list[EvaluatedImage]) -> None:
    table = metrics_table(five_cases, ["lesion"], 0.5, True)
    assert table["dice"].tolist()[:4] == pytest.approx([1, 2 / 3, 0, 0])
    assert math.isnan(table["dice"].iloc[4])
    values = aggregate(table, "normal")
    assert values == pytest.approx(
        {
            "images": 5,
            "images/lesion": 3,
            "dice/lesion": 5 / 9,
            "dice/lesion/benign": 1,
            "dice/lesion/malignant": 1 / 3,
            "dice/all_empty1": (1 + 2 / 3 + 0 + 0 + 1) / 5,
            "dice/global": 6 / 11,
            "iou/lesion": 0.5,
            "precision/lesion": 1,
            "sensitivity/lesion": 0.5,
            "detection_rate": 2 / 3,
            "normal_false_positive_rate": 0.5,
        }
    )


@pytest.mark.parity
def test_agrees_with_segmentation_models_pytorch() -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="parity package")
    import torch

    generator = np.random.default_rng(1)
    truth = (generator.random((12, 16, 16)) > 0.7).astype(np.uint8)
    predicted = generator.random((12, 16, 16)).astype(np.float32)
    truth[2:5] = 0
    predicted[4:7] = 0
    images = [
        EvaluatedImage(str(i), None, p[None], t)
        for i, (p, t) in enumerate(zip(predicted, truth, strict=True))
    ]
    table = metrics_table(images, ["lesion"], 0.5, True)
    stats = smp.metrics.get_stats(
        torch.from_numpy(predicted > 0.5)[:, None].long(),
        torch.from_numpy(truth)[:, None].long(),
        mode="binary",
    )
    ours = aggregate(table, None)
    for name, reference in {
        "dice/all_empty1": smp.metrics.f1_score(*stats, reduction="micro-imagewise"),
        "dice/global": smp.metrics.f1_score(*stats, reduction="micro"),
    }.items():
        assert ours[name] == pytest.approx(float(reference), rel=1e-6), name
    lesions = [s[truth.any(axis=(1, 2))] for s in stats]
    for name, function in {
        "iou/lesion": smp.metrics.iou_score,
        "sensitivity/lesion": smp.metrics.sensitivity,
    }.items():
        reference = function(*lesions, reduction="micro-imagewise")
        assert ours[name] == pytest.approx(float(reference), rel=1e-6), name


def test_only_images_of_the_lesion_free_label_are_normal() -> None:
    images = [image("found", [[1, 0], [0, 0]], NONE, "benign"), image("n", NONE, NONE, "normal")]
    table = metrics_table(images, ["lesion"], 0.5, True)
    assert aggregate(table, "normal")["normal_false_positive_rate"] == 0
    assert aggregate(table, None)["normal_false_positive_rate"] == 0.5


def test_lesion_that_vanishes_is_a_lesion_at_native_size_only() -> None:
    native = np.zeros((8, 8), np.uint8)
    native[0, 0] = 1
    images = [
        image("vanished", [[1, 0], [0, 0]], NONE, "benign", native),
        image("normal", NONE, NONE, "normal", np.zeros((8, 8), np.uint8)),
    ]
    table = metrics_table(images, ["lesion"], 0.5, True)
    for label in ("normal", None):
        values = aggregate(table, label)
        assert values["images/vanished"] == 1
        assert (values["images/lesion"], values["native/images/lesion"]) == (0, 1)
        assert math.isnan(values["dice/lesion"])
        assert values["native/dice/lesion"] > 0
        # The prediction on the vanished lesion is no false positive on a normal image.
        assert values["normal_false_positive_rate"] == 0
        assert values["dice/all_empty1"] == 0.5


def test_native_size_is_decided_after_bilinear_enlargement() -> None:
    from PIL import Image

    generator = np.random.default_rng(2)
    probabilities = generator.random((1, 16, 16)).astype(np.float32)
    enlarged = resize_probabilities(probabilities, (50, 37))
    pillow = Image.fromarray(probabilities[0]).resize((37, 50), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(enlarged[0], np.asarray(pillow), atol=1e-5)
    native = (np.asarray(pillow) > 0.5).astype(np.uint8)
    evaluated = EvaluatedImage("a", None, probabilities, np.zeros((16, 16), np.uint8), native)
    table = metrics_table([evaluated], ["lesion"], 0.5, True).set_index("size")
    assert table.loc["native", "dice"] > 0.999
    assert table.loc["training", "dice"] == 0


def test_exclusive_classes_compete_with_the_background() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(4, 9, 9))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=0)
    planes = predicted_planes(softmax[1:].astype(np.float32), 0.9, True)
    winner = logits.argmax(axis=0)
    for number in (1, 2, 3):
        np.testing.assert_array_equal(planes[number - 1], winner == number)
    np.testing.assert_array_equal(predicted_mask(softmax[1:].astype(np.float32), 0.9, True), winner)


def test_overlapping_classes_are_decided_one_by_one() -> None:
    probabilities = np.asarray([[[0.6, 0.4]], [[0.7, 0.5]]], dtype=np.float32)
    expected = [[[1, 0]], [[1, 0]]]
    assert predicted_mask(probabilities, 0.5, False).tolist() == expected
    assert predicted_planes(probabilities, 0.5, False).tolist() == expected


def test_several_classes_have_their_own_values_and_a_mean() -> None:
    probabilities = np.zeros((2, 2, 2), np.float32)
    probabilities[0, 0] = 1
    mask = np.asarray([[1, 1], [0, 2]], np.uint8)
    table = metrics_table(
        [EvaluatedImage("a", "x", probabilities, mask)], ["wall", "cyst"], 0.5, True
    )
    values = aggregate(table, None)
    assert values["class/wall/dice/lesion"] == 1
    assert values["class/cyst/dice/lesion"] == 0
    assert values["dice/lesion"] == values["dice/lesion/x"] == 0.5
    assert values["precision/lesion"] == 1  # the cyst has no predicted pixel: undefined, left out
    assert (values["images"], values["images/lesion"]) == (1, 1)


def test_aggregates_do_not_depend_on_the_order(five_cases: list[EvaluatedImage]) -> None:
    there = aggregate(metrics_table(five_cases, ["lesion"], 0.5, True), "normal")
    back = aggregate(metrics_table(reversed(five_cases), ["lesion"], 0.5, True), "normal")
    assert there == pytest.approx(back)


def test_counts_sum_to_the_pixels_and_dice_is_bound_to_iou() -> None:
    generator = np.random.default_rng(4)
    images = [
        EvaluatedImage(
            str(number),
            None,
            generator.random((1, 12, 12)).astype(np.float32),
            (generator.random((12, 12)) > 0.5).astype(np.uint8),
            (generator.random((30, 20)) > 0.5).astype(np.uint8),
        )
        for number in range(5)
    ]
    table = metrics_table(images, ["lesion"], 0.5, True)
    pixels = table[["tp", "fp", "fn", "tn"]].sum(axis=1)
    assert pixels.tolist() == [144, 600] * 5
    np.testing.assert_allclose(table["dice"], 2 * table["iou"] / (1 + table["iou"]))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((2, 2), 255, np.uint8), "value 255"),
        (np.zeros((3, 2), np.uint8), "shape"),
        (np.zeros((2, 2, 2), np.uint8), "2 planes for 1 classes"),
    ],
)
def test_a_mask_that_does_not_fit_names_the_image(mask: np.ndarray, message: str) -> None:
    evaluated = EvaluatedImage("case 7", None, np.zeros((1, 2, 2), np.float32), mask)
    with pytest.raises(DataError, match=f"case 7.*{message}"):
        metrics_table([evaluated], ["lesion"], 0.5, True)


def test_probabilities_must_match_the_classes() -> None:
    evaluated = EvaluatedImage(
        "a", None, np.zeros((2, 2, 2), np.float32), np.zeros((2, 2), np.uint8)
    )
    with pytest.raises(DataError, match="2 planes of probabilities for 1 classes"):
        metrics_table([evaluated], ["lesion"], 0.5, True)


def test_truth_planes_take_both_forms() -> None:
    numbers = np.asarray([[0, 1], [2, 2]], np.uint8)
    planes = truth_planes(numbers, 2)
    np.testing.assert_array_equal(truth_planes(planes.astype(np.uint8), 2), planes)
    assert planes.sum(axis=(1, 2)).tolist() == [1, 2]


def test_round_trip_is_exact(tmp_path: Path, five_cases: list[EvaluatedImage]) -> None:
    odd = image("NA", [[1, 1], [1, 0]], [[1, 1], [1, 1]], None, np.ones((7, 5), np.uint8))
    commas = image('a, "b" (1)\nö', NONE, NONE, "null")
    table = metrics_table([*five_cases, odd, commas], ["lesion"], 0.5, True)
    path = tmp_path / "metrics.csv"
    write_table(table, path)
    pd.testing.assert_frame_equal(read_table(path), table, check_exact=True)
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


def test_tables_without_groups_are_read(tmp_path: Path, five_cases: list[EvaluatedImage]) -> None:
    of_patients = [replace(case, group=f"p{n % 2}") for n, case in enumerate(five_cases)]
    table = metrics_table(of_patients, ["lesion"], 0.5, True)
    assert table["group"].tolist()[:2] == ["p0", "p1"]
    write_table(table, tmp_path / "now.csv")
    assert read_table(tmp_path / "now.csv")["group"].tolist() == table["group"].tolist()
    write_table(table.drop(columns="group"), tmp_path / "before.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "before.csv"), table.assign(group=""))


def test_a_table_of_no_images_is_a_table(tmp_path: Path) -> None:
    table = metrics_table([], ["lesion"], 0.5, True)
    assert tuple(table.columns) == COLUMNS
    assert aggregate(table, None) == {"images": 0, "images/lesion": 0}
    write_table(table, tmp_path / "metrics.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "metrics.csv"), table)


def test_files_that_cannot_be_written_or_read(tmp_path: Path) -> None:
    table = metrics_table([], ["lesion"], 0.5, True)
    with pytest.raises(RunError, match="cannot write"):
        write_table(table, tmp_path / "no such folder" / "metrics.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("id,label\na,b\n", encoding="utf-8")
    with pytest.raises(DataError, match="lacks the columns"):
        read_table(tmp_path / "metrics.csv")


def test_every_aggregate_is_explained() -> None:
    native = np.ones((4, 4), np.uint8)
    probabilities = np.ones((2, 2, 2), np.float32)
    evaluated = EvaluatedImage("a", "benign", probabilities, np.ones((2, 2), np.uint8), native)
    values = aggregate(metrics_table([evaluated], ["wall", "dice/lesion"], 0.5, True), "normal")
    assert all(explain(name) for name in values)
    line = explain("native/class/wall/dice/lesion/benign")
    assert "labelled benign" in line and "class wall" in line and "image files" in line
    assert explain("loss") == ""
