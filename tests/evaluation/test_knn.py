"""The nearest-neighbour vote against a slow loop and lightly's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ssl_registry.evaluation.knn import knn_predict, knn_votes


def data(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (40,), generator=generator)
    centres = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    bank = centres[labels] + torch.randn(40, 5, generator=generator, dtype=torch.float64)
    return torch.randn(25, 5, generator=generator, dtype=torch.float64), bank, labels


def cosine(a: list[float], b: list[float]) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.hypot(*a) * math.hypot(*b))


def slow_votes(
    embedding: list[float], bank: list[list[float]], labels: list[int], k: int, temperature: float
) -> list[float]:
    near = sorted(((cosine(embedding, b), y) for b, y in zip(bank, labels, strict=True)))[-k:]
    votes = [0.0, 0.0, 0.0]
    for similarity, label in near:
        votes[label] += math.exp(similarity / temperature)
    return votes


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (20, 0.07), (40, 1.0)])
def test_votes_and_classes_equal_the_slow_loop(k: int, temperature: float) -> None:
    embeddings, bank, labels = data()
    votes = knn_votes(embeddings, bank, labels, 3, k, temperature)
    predicted = knn_predict(embeddings, bank, labels, 3, k, temperature).tolist()
    for embedding, vote, winner in zip(embeddings.tolist(), votes, predicted, strict=True):
        slow = slow_votes(embedding, bank.tolist(), labels.tolist(), k, temperature)
        # Votes are scaled by the largest weight; their shares are those of the paper.
        shares = torch.tensor(slow, dtype=torch.float64) / math.fsum(slow)
        torch.testing.assert_close(vote / vote.sum(), shares, rtol=1e-9, atol=1e-12)
        assert winner == slow.index(max(slow))


@pytest.mark.parity
@pytest.mark.parametrize("k", [1, 5, 20])
def test_classes_equal_lightlys(k: int) -> None:
    lightly = pytest.importorskip("lightly.utils.benchmarking", reason="needs the dev extra")
    for seed in range(5):
        embeddings, bank, labels = data(seed)
        normal = torch.nn.functional.normalize
        ranked = lightly.knn_predict(
            normal(embeddings, dim=1), normal(bank, dim=1).T, labels, 3, knn_k=k, knn_t=0.1
        )
        assert torch.equal(knn_predict(embeddings, bank, labels, 3, k, 0.1), ranked[:, 0])


def test_a_tiny_temperature_does_not_overflow() -> None:
    embeddings, bank, labels = data()
    nearest = knn_predict(embeddings, bank, labels, 3, 1, 0.1)
    assert torch.equal(knn_predict(embeddings, bank, labels, 3, 40, 1e-5), nearest)


def test_length_does_not_matter_and_batches_do_not_either() -> None:
    embeddings, bank, labels = data()
    scaled = bank * torch.linspace(0.1, 9, 40, dtype=torch.float64)[:, None]
    many = embeddings.repeat(60, 1)
    predicted = knn_predict(many, scaled, labels, 3, 5, 0.1).reshape(60, -1)
    assert torch.equal(predicted, knn_predict(embeddings, bank, labels, 3, 5, 0.1).repeat(60, 1))
