"""Bootstrap intervals against binomial quantiles, a slow loop, and cases known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ssl_registry.evaluation.bootstrap import (
    ImageScores,
    class_scores,
    estimate,
    mean_scores,
    plain_scores,
)


def test_accuracy_and_balanced_accuracy_by_hand() -> None:
    truth = np.array([0, 0, 0, 0, 2, 2])
    correct = np.array([True, True, True, False, False, True])
    accuracy, balanced = class_scores(correct, truth)
    assert accuracy.score == pytest.approx(4 / 6)
    assert balanced.score == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_the_interval_of_a_share_is_binomial() -> None:
    correct = np.arange(200) < 140
    found = estimate(plain_scores(correct.astype(np.float64)), seed=1, resamples=20_000)
    low, high = stats.binom(200, 0.7).ppf([0.025, 0.975]) / 200
    assert found.value == pytest.approx(0.7)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_the_balanced_interval_equals_one_drawn_class_by_class() -> None:
    truth = np.repeat([0, 1, 2], [50, 20, 10])
    correct = np.random.default_rng(0).random(80) < 0.6
    balanced = class_scores(correct, truth)[1]
    found = estimate(balanced, seed=3, resamples=20_000)
    generator = np.random.default_rng(9)
    rates = [
        generator.binomial(count, correct[truth == label].mean(), 20_000) / count
        for label, count in ((0, 50), (1, 20), (2, 10))
    ]
    low, high = np.quantile(np.mean(rates, axis=0), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_what_never_varies_has_no_width_and_a_seed_draws_the_same() -> None:
    sure = estimate(plain_scores(np.full(7, 0.25)), seed=0)
    assert sure.low == pytest.approx(0.25) and sure.high == pytest.approx(0.25)
    scores = plain_scores(np.random.default_rng(2).random(30))
    assert estimate(scores, seed=4) == estimate(scores, seed=4) != estimate(scores, seed=5)


def test_many_images_are_drawn_in_portions() -> None:
    values = np.random.default_rng(2).random(300_000)
    found = estimate(plain_scores(values), seed=0, resamples=10)
    assert found.low < values.mean() < found.high


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    generator = np.random.default_rng(1)
    base = generator.random(200)
    better = plain_scores(base + 0.05 + 0.01 * generator.random(200))
    difference = estimate(better.minus(plain_scores(base)), seed=0)
    assert difference.value == pytest.approx(better.score - base.mean())
    assert 0.05 < difference.low < difference.high < 0.06
    alone = estimate(better, seed=0)
    assert alone.high - alone.low > 10 * (difference.high - difference.low)


def test_other_images_have_no_paired_difference() -> None:
    one = class_scores(np.array([True, False]), np.array([0, 1]))[0]
    other = class_scores(np.array([True, False]), np.array([0, 0]))[0]
    with pytest.raises(ValueError, match="different images"):
        one.minus(other)


def test_the_mean_of_several_is_taken_image_by_image() -> None:
    ones = [plain_scores(np.array(values, dtype=np.float64)) for values in ((1, 0), (1, 1))]
    mean = mean_scores(ones)
    assert isinstance(mean, ImageScores)
    assert mean.values.tolist() == [1, 0.5] and mean.score == pytest.approx(0.75)
