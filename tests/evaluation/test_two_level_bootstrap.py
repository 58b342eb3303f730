"""The two-level bootstrap against a slow loop and against known variances."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_registry.evaluation.two_level_bootstrap import (
    RunScores,
    difference_interval,
    mean_interval,
)


def scores(
    runs: int,
    images: int,
    seed: int,
    groups: list[int] | None = None,
    clusters: list[int] | None = None,
) -> RunScores:
    """Runs that differ, and still more between groups, on images that differ for all alike."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0.6, 0.1, (runs, images)) + generator.normal(0, 0.05, (runs, 1))
    values += np.random.default_rng(99).normal(0, 0.2, images)
    of_runs = np.asarray(groups or [0] * runs)
    values += 0.1 * of_runs[:, None]
    if clusters is None:
        return RunScores(values, of_runs)
    # Images of a cluster are nearly alike.
    of_images = np.asarray(clusters)
    values += np.random.default_rng(98).normal(0, 0.4, of_images.max() + 1)[of_images]
    return RunScores(values, of_runs, of_images)


def slow(of: list[RunScores], draws: int) -> np.ndarray:
    """Each draw's mean, one after the other: the same images for all, runs for each."""
    generator = np.random.default_rng(5)
    found = []
    for _ in range(draws):
        own = np.arange(of[0].values.shape[1])
        clusters = own if of[0].clusters is None else of[0].clusters
        count = len(set(clusters.tolist()))
        images = [
            image
            for cluster in generator.integers(count, size=count)
            for image in own[clusters == cluster]
        ]
        means = []
        for one in of:
            names = sorted(set(one.groups.tolist()))
            rows: list[int] = []
            for name in generator.choice(names, size=len(names)):
                members = np.flatnonzero(one.groups == name)
                rows += generator.choice(members, size=len(members)).tolist()
            means.append(np.mean([one.values[row, image] for row in rows for image in images]))
        found.append(means[0] - sum(means[1:]))
    return np.asarray(found)


CLUSTERS = [0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("groups", "clusters"), [(None, None), (None, CLUSTERS), ([0, 0, 1, 1, 2, 2], None)]
)
def test_mean_as_the_slow_loop(groups: list[int] | None, clusters: list[int] | None) -> None:
    one = scores(6, 20, 0, groups, clusters)
    found = mean_interval(one, seed=1)
    expected = np.quantile(slow([one], 2500), [0.025, 0.975])
    assert found.value == pytest.approx(one.values.mean())
    # The ends of 2,500 draws are known to about 0.003 here, and 0.006 of clusters.
    assert [found.low, found.high] == pytest.approx(expected, abs=0.016 if clusters else 0.008)


@pytest.mark.parametrize("groups", [None, [0, 0, 1, 1, 2, 2]])
def test_difference_as_the_slow_loop(groups: list[int] | None) -> None:
    arm, baseline = scores(6, 20, 0, groups), scores(3, 20, 1)
    found = difference_interval(arm, baseline, seed=1)
    expected = np.quantile(slow([arm, baseline], 2500), [0.025, 0.975])
    assert found.value == pytest.approx(arm.values.mean() - baseline.values.mean())
    assert [found.low, found.high] == pytest.approx(expected, abs=0.008)


def test_images_of_a_cluster_are_no_further_evidence() -> None:
    """Each image twice is no more than once in a cluster; apart, it narrows the interval."""
    once = scores(4, 30, 0)
    twice = np.repeat(once.values, 2, axis=1)
    clustered = RunScores(twice, once.groups, np.repeat(np.arange(30), 2))
    together, own = mean_interval(clustered, seed=1), mean_interval(once, seed=1)
    expected = (own.value, own.low, own.high)
    assert (together.value, together.low, together.high) == pytest.approx(expected)
    assert clustered.of_clusters == pytest.approx(once.of_clusters)
    apart = mean_interval(RunScores(twice, once.groups), seed=1)
    assert apart.high - apart.low < 0.9 * (own.high - own.low)
    other = RunScores(twice, once.groups, np.repeat(np.arange(20), 3))
    with pytest.raises(ValueError, match="different images"):
        difference_interval(clustered, other, seed=0)


def test_what_images_share_leaves_the_difference() -> None:
    values = np.random.default_rng(0).uniform(size=(1, 60))
    one = RunScores(values, np.zeros(1, np.int64))
    other = RunScores(values + 0.1, np.zeros(1, np.int64))
    found = difference_interval(other, one, seed=0)
    assert [found.low, found.high] == pytest.approx([0.1, 0.1])
    own = mean_interval(one, seed=0)
    # One run: only images vary, so the half-width is 1.96 standard errors of their mean.
    assert (own.high - own.low) / 2 == pytest.approx(1.96 * values.std() / 60**0.5, rel=0.05)


def test_the_runs_of_both_are_drawn_independently() -> None:
    one = RunScores(np.repeat([[0.4], [0.6]], 30, axis=1), np.zeros(2, np.int64))
    found = difference_interval(one, one, seed=0)
    # Twice the worse run against twice the better one comes in one draw of 16.
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.2, 0.2))


def test_pretrainings_that_differ_widen_the_interval() -> None:
    values = np.repeat([[0.4], [0.6]], 5, axis=0) + np.zeros((10, 30))
    apart = RunScores(values, np.repeat([0, 1], 5))
    together = RunScores(values, np.zeros(10, np.int64))
    wide, narrow = (mean_interval(one, seed=0) for one in (apart, together))
    assert wide.low == pytest.approx(0.4) and wide.high == pytest.approx(0.6)
    assert narrow.high - narrow.low < 0.15


def test_same_seed_same_interval_and_images_must_match() -> None:
    one = scores(3, 10, 0)
    assert mean_interval(one, seed=3) == mean_interval(one, seed=3)
    with pytest.raises(ValueError, match="different images"):
        difference_interval(one, scores(3, 11, 0), seed=0)
