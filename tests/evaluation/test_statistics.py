from __future__ import annotations

import math
import statistics as standard

import pytest

from ssl_registry.evaluation.statistics import mean, paired_differences, sample_sd, summarize


def test_agrees_with_the_standard_library() -> None:
    values = [0.61, 0.58, 0.7, 0.66]
    summary = summarize(values)
    assert summary.mean == pytest.approx(standard.fmean(values))
    assert summary.sd == pytest.approx(standard.stdev(values))
    assert summary.n == 4


def test_too_few_or_undefined_values_are_nan() -> None:
    assert math.isnan(mean([]))
    assert math.isnan(sample_sd([1.0]))
    assert mean([1.0]) == 1
    undefined = summarize([0.5, math.nan])
    assert math.isnan(undefined.mean) and math.isnan(undefined.sd)


def test_pairs() -> None:
    assert paired_differences([0.7, 0.5], [0.6, 0.6]) == pytest.approx([0.1, -0.1])
    with pytest.raises(ValueError, match="paired"):
        paired_differences([0.7], [0.6, 0.6])
