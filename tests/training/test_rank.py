"""RankMe against values known by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ssl_registry.training.rank import effective_rank


def test_orthonormal_embeddings_have_full_rank_and_equal_ones_have_rank_one() -> None:
    orthonormal = torch.linalg.qr(torch.randn(30, 8, dtype=torch.float64)).Q
    assert effective_rank(orthonormal) == pytest.approx(8, rel=1e-4)
    assert effective_rank(torch.ones(30, 8)) == pytest.approx(1, abs=1e-3)
    line = torch.linspace(-1, 2, 30)[:, None] * torch.randn(8)
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)


def test_known_singular_values() -> None:
    values = torch.tensor([4.0, 2.0, 1.0, 1.0])
    entropy = -sum(p * math.log(p) for p in (1 / 2, 1 / 4, 1 / 8, 1 / 8))
    left = torch.linalg.qr(torch.randn(9, 4)).Q
    right = torch.linalg.qr(torch.randn(4, 4)).Q
    assert effective_rank(left * values @ right) == pytest.approx(math.exp(entropy), rel=1e-4)
    assert math.exp(entropy) == pytest.approx(2**1.75)


def test_fewer_images_than_dimensions_bound_it_and_scale_does_not_matter() -> None:
    embeddings = torch.randn(5, 64)
    rank = effective_rank(embeddings)
    assert 4 < rank < 5.001
    assert effective_rank(100 * embeddings) == pytest.approx(rank, rel=1e-5)


def test_no_signal_at_all_is_a_number() -> None:
    assert effective_rank(torch.zeros(6, 3)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_embeddings_that_are_not_finite_have_no_rank_and_end_no_run(value: float) -> None:
    embeddings = torch.randn(6, 3)
    embeddings[2, 1] = value
    assert math.isnan(effective_rank(embeddings))
