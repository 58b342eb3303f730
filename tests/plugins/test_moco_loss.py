"""The loss of MoCo against a slow loop and lightly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry_moco.loss import queue_contrast


def slow_contrast(
    queries: Tensor, keys: Tensor, negatives: list[list[Tensor]], temperature: float
) -> Tensor:
    """Equation 1 of He et al. 2020, query by query, each with its own list of negatives."""

    def similar(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp((a @ b) / (a.norm() * b.norm()) / temperature)

    total = torch.zeros((), dtype=queries.dtype)
    for q, k, others in zip(queries, keys, negatives, strict=True):
        positive = similar(q, k)
        total = total - torch.log(positive / (positive + sum(similar(q, o) for o in others)))
    return total / len(queries)


def vectors(n: int, k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n * 100 + k * 10 + d)
    drawn = torch.randn(2 * n + k, d, dtype=torch.float64, generator=generator)
    return drawn[:n].requires_grad_(), drawn[n : 2 * n], F.normalize(drawn[2 * n :], dim=1)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize(("n", "k", "d"), [(1, 1, 3), (4, 7, 5)])
def test_loss_and_gradient_equal_the_slow_loop(n: int, k: int, d: int, temperature: float) -> None:
    queries, keys, queue = vectors(n, k, d)
    slow = slow_contrast(queries, keys, [list(queue)] * n, temperature)
    fast = queue_contrast(queries, keys, queue, temperature)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)
    (expected,) = torch.autograd.grad(slow, queries)
    (got,) = torch.autograd.grad(fast, queries)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    single = queue_contrast(queries.detach().float(), keys.float(), queue.float(), temperature)
    assert abs(float(single) - float(slow.detach())) < 1e-5


def test_excluded_keys_are_no_negatives() -> None:
    queries, keys, queue = vectors(4, 7, 5)
    generator = torch.Generator().manual_seed(0)
    excluded = torch.rand(4, 7, generator=generator) < 0.4
    excluded[2] = True
    kept = [[k for k, out in zip(queue, row, strict=True) if not out] for row in excluded]
    slow = slow_contrast(queries, keys, kept, 0.2)
    fast = queue_contrast(queries, keys, queue, 0.2, excluded)
    torch.testing.assert_close(fast, slow)
    expected, got = (torch.autograd.grad(loss, queries)[0] for loss in (slow, fast))
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    assert not got[2].any()  # without negatives there is nothing to learn


def test_only_queries_get_a_gradient() -> None:
    queries, keys, queue = vectors(4, 7, 5)
    keys.requires_grad_()
    queue.requires_grad_()
    queue_contrast(queries, keys, queue, 0.2).backward()  # type: ignore[no-untyped-call]
    assert queries.grad is not None and keys.grad is None and queue.grad is None


@pytest.mark.parity
def test_loss_and_gradient_equal_lightlys_with_a_memory_bank() -> None:
    loss = pytest.importorskip("lightly.loss", reason="needs the dev extra")
    queries, keys, queue = (t.detach().float() for t in vectors(6, 32, 8))
    queries.requires_grad_()
    criterion = loss.NTXentLoss(temperature=0.2, memory_bank_size=(32, 8))
    criterion.memory_bank.bank.copy_(queue)
    theirs = criterion(queries, keys)
    ours = queue_contrast(queries, keys, queue, 0.2)
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(value, queries)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("length", [16, 256])
def test_orthogonal_keys_start_at_ln_k_plus_1(length: int) -> None:
    unit = torch.eye(length + 4)
    loss = queue_contrast(unit[:2], unit[2:4], unit[4:], 0.07)
    assert float(loss) == pytest.approx(math.log(length + 1), abs=1e-5)


def test_bf16_under_autocast_gives_the_fp32_loss_also_for_the_smallest_temperature() -> None:
    queries, keys, queue = vectors(4, 7, 5)
    q, k = queries.detach().bfloat16(), keys.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = queue_contrast(q, k, queue.float(), 0.07)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, queue_contrast(q.float(), k.float(), queue.float(), 0.07))
    assert torch.isfinite(queue_contrast(q, k, queue.float(), 0.001))
    assert torch.isfinite(queue_contrast(0 * q, 0 * k, queue.float(), 0.07))
