from __future__ import annotations

import numpy as np
import pytest

from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.table import EvaluatedImage, metrics_table
from ssl_registry.evaluation.validation import validation_dice


def test_hand_computed() -> None:
    probabilities = np.zeros((3, 1, 2, 2), np.float32)
    masks = np.zeros((3, 2, 2), np.uint8)
    probabilities[0, 0, 0] = 0.9  # two pixels, one of them right: 2 * 1 / (2 + 1)
    masks[0, 0, 0] = 1
    masks[1, 1, 1] = 1  # missed: 0
    probabilities[2] = 0.9  # no lesion there: does not count
    scores = validation_dice([(probabilities, masks)], 0.5, exclusive=True)
    assert scores["dice/lesion"] == pytest.approx(1 / 3)
    # The image without a lesion has a false alarm: 0.
    assert scores["dice/all_empty1"] == pytest.approx((2 / 3) / 3)


def test_no_lesion_at_all_scores_nothing() -> None:
    probabilities = np.ones((2, 1, 4, 4), np.float32)
    probabilities[1] = 0
    batch = (probabilities, np.zeros((2, 4, 4), np.uint8))
    scores = validation_dice([batch], 0.5, exclusive=True)
    assert scores == {"dice/lesion": 0.0, "dice/all_empty1": 0.5}


@pytest.mark.parametrize(("classes", "exclusive"), [(1, True), (3, True), (3, False)])
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_aggregate_of_the_table(classes: int, exclusive: bool, seed: int) -> None:
    generator = np.random.default_rng(seed)
    count, size = 7, 6
    probabilities = generator.random((count, classes, size, size)).astype(np.float32)
    if exclusive:
        probabilities /= np.maximum(1, probabilities.sum(axis=1, keepdims=True))
        masks = generator.integers(0, classes + 1, (count, size, size)).astype(np.uint8)
        # One class is missing in some images, and the last image is empty.
        masks[:3][masks[:3] == classes] = 0
    else:
        masks = (generator.random((count, classes, size, size)) < 0.2).astype(np.uint8)
        masks[:3, -1] = 0
    masks[-1] = 0
    images = [
        EvaluatedImage(str(number), None, probability, mask)
        for number, (probability, mask) in enumerate(zip(probabilities, masks, strict=True))
    ]
    names = [f"class {number}" for number in range(classes)]
    table = metrics_table(images, names, 0.4, exclusive)
    expected = aggregate(table, None)
    batches = [(probabilities[part], masks[part]) for part in (slice(0, 3), slice(3, count))]
    scores = validation_dice(batches, 0.4, exclusive)
    assert scores == pytest.approx({name: expected[name] for name in scores}, abs=1e-12)
