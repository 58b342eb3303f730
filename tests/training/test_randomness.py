from __future__ import annotations

import itertools

import numpy as np
import torch

from ssl_registry.training.randomness import derived_seed, epoch_order, seed_torch


def test_seeds_differ_by_seed_purpose_step_and_rank() -> None:
    keys = [
        (seed, purpose, *numbers)
        for seed in range(4)
        for purpose in ("step", "order", "trunk")
        for numbers in itertools.product(range(30), range(3))
    ]
    seeds = [derived_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [derived_seed(*key) for key in keys]


def test_bits_are_spread_evenly() -> None:
    draws = np.array([derived_seed(0, "step", step) for step in range(2000)], dtype=np.uint64)
    share = [float(((draws >> np.uint64(bit)) & np.uint64(1)).mean()) for bit in range(63)]
    # Five standard deviations of a fair coin thrown 2000 times.
    assert max(abs(value - 0.5) for value in share) < 5 * 0.5 / 2000**0.5


def test_torch_draws_depend_on_the_arguments_only() -> None:
    seed_torch(3, "step", 7)
    first = torch.rand(5)
    torch.rand(100)
    seed_torch(3, "step", 7)
    assert torch.equal(torch.rand(5), first)
    seed_torch(3, "step", 8)
    assert not torch.equal(torch.rand(5), first)


def test_orders_are_permutations_of_seed_and_epoch_alone() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    orders = {(s, e): epoch_order(s, e, 97) for s in range(3) for e in range(3)}
    for order in orders.values():
        assert sorted(order.tolist()) == list(range(97))
    assert len({tuple(order.tolist()) for order in orders.values()}) == 9
    torch.manual_seed(2)
    np.random.seed(2)
    assert all(np.array_equal(epoch_order(*key, 97), order) for key, order in orders.items())
