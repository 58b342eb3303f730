"""The MoCo plugin: a slow simulation of its steps key by key, its state, what it refuses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import (
    Backbone,
    ConfigError,
    MethodContext,
    PretrainBatch,
    Trunk,
    Views,
    registry,
)
from ssl_registry.config.training import OptimizerConfig
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.schedule import Schedule
from ssl_registry_moco import method as moco_method
from ssl_registry_moco.loss import queue_contrast
from ssl_registry_moco.method import MoCo, move_towards
from ssl_registry_moco.split_norm import SplitBatchNorm

RATE = 0.3


class Linear(Backbone):
    """4x4 images to six numbers."""

    channels, reductions = (6,), (4,)

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.conv = nn.Conv2d(in_channels, 6, 4)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.conv(images)]


class Normed(Linear):
    """The same, normalised over the batch."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__(in_channels)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.norm(self.conv(images))]


def method(
    backbone: Backbone | None = None, batch_size: int = 8, num_images: int = 20, **settings: Any
) -> MoCo:
    settings = {"projection_dim": 5, "batch_norm": "plain", **settings}
    config = registry.config_model("method", "moco")(**settings)
    context = MethodContext(
        num_images=num_images, total_steps=10, batch_size=batch_size, image_size=4, channels=1
    )
    built: MoCo = registry.factory("method", "moco")(Trunk(backbone or Linear()), config, context)
    return built


def batch(*images: Tensor, ids: Tensor | None = None) -> PretrainBatch:
    ids = torch.arange(len(images[0])) if ids is None else ids
    return PretrainBatch(Views(images), ids)


class Simulation:
    """MoCo by hand in float64, in the official order: EMA, keys, loss, step, enqueue."""

    def __init__(self, moco: MoCo) -> None:
        self.queue = list(moco.queue.keys.clone())
        self.ids = moco.queue.ids.tolist()
        self.pointer = 0
        self.settings = moco.config
        self.query = self.weights(moco)
        self.key = [w.detach().clone() for w in self.query]

    @staticmethod
    def weights(moco: MoCo) -> list[Tensor]:
        parts = [*moco.trunk.parameters(), *moco.projection.parameters()]
        return [p.detach().clone().requires_grad_() for p in parts]

    @staticmethod
    def encode(weights: list[Tensor], images: Tensor) -> Tensor:
        """A convolution over the whole image and a head of one hidden layer."""
        conv, conv_bias, w1, b1, w2, b2 = weights
        h = images.flatten(1) @ conv.flatten(1).T + conv_bias
        z = (h @ w1.T + b1).clamp(min=0) @ w2.T + b2
        return torch.stack([row / row.square().sum().sqrt() for row in z])

    def contrast(self, queries: Tensor, keys: Tensor, negatives: list[list[Tensor]]) -> Tensor:
        """Equation 1 of He et al. 2020, query by query, each with its own list of negatives."""
        losses = []
        for q, k, others in zip(queries, keys, negatives, strict=True):
            logits = [q @ other / self.settings.temperature for other in (k, *others)]
            losses.append(torch.stack(logits).exp().sum().log() - logits[0])
        return torch.stack(losses).mean()

    def step(self, x1: Tensor, x2: Tensor, ids: list[int]) -> float:
        m = self.settings.momentum
        self.key = [m * k + (1 - m) * q.detach() for k, q in zip(self.key, self.query, strict=True)]
        pairs = [(x1, x2), (x2, x1)] if self.settings.symmetric else [(x1, x2)]
        loss, enqueued = torch.zeros((), dtype=torch.float64), []
        for query, key in pairs:
            k = self.encode(self.key, key)
            masked = self.settings.mask_same_image
            negatives = [
                [n for n, of in zip(self.queue, self.ids, strict=True) if not masked or of != image]
                for image in ids
            ]
            q = self.encode(self.query, query)
            loss = loss + self.contrast(q, k, negatives) / len(pairs)
            enqueued += list(zip(k, ids, strict=True))
        gradients = torch.autograd.grad(loss, self.query)
        self.query = [
            (w - RATE * g).detach().requires_grad_()
            for w, g in zip(self.query, gradients, strict=True)
        ]
        for k, image in enqueued:
            self.queue[self.pointer], self.ids[self.pointer] = k, image
            self.pointer = (self.pointer + 1) % len(self.queue)
        return float(loss.detach())


def drawn_batch(step: int, count: int, num_images: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    x1, x2 = torch.randn(2, count, 1, 4, 4, dtype=torch.float64, generator=generator)
    return x1, x2, torch.randperm(num_images, generator=generator)[:count]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("length", [2, 8])
def test_ten_steps_equal_a_slow_simulation(symmetric: bool, mask: bool, length: int) -> None:
    torch.manual_seed(0)
    moco = method(
        batch_size=3,
        num_images=9,
        queue_length=length,
        symmetric=symmetric,
        mask_same_image=mask,
        momentum=0.9,
    ).double()
    # Of length 1 in float64 as well.
    moco.queue.keys.copy_(F.normalize(moco.queue.keys, dim=1))
    simulation = Simulation(moco)
    trained = [p for p in moco.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE)
    for step in range(10):
        x1, x2, ids = drawn_batch(step, 3, num_images=9)
        moco.before_step(step)
        loss = moco(batch(x1, x2, ids=ids)).loss
        used = [
            p.clone() for p in (*moco.key_trunk.parameters(), *moco.key_projection.parameters())
        ]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        moco.after_step(step, committed=True)

        assert float(loss.detach()) == pytest.approx(simulation.step(x1, x2, ids.tolist()))
        for got, wanted in zip(used, simulation.key, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)
        for place, wanted in enumerate(simulation.queue):
            torch.testing.assert_close(moco.queue.keys[place], wanted, rtol=1e-9, atol=1e-12)
        assert moco.queue.ids.tolist() == simulation.ids
        assert int(moco.queue.pointer) == simulation.pointer
    assert (3 * (2 if symmetric else 1) * 10) // length > 2  # it went round


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_current_keys_are_never_among_the_negatives(
    symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    moco = method(batch_size=4, queue_length=6, symmetric=symmetric)
    calls: list[tuple[Tensor, Tensor]] = []

    def spy(q: Tensor, k: Tensor, queue: Tensor, *rest: Any) -> Tensor:
        calls.append((k.clone(), queue.clone()))
        return queue_contrast(q, k, queue, *rest)

    monkeypatch.setattr(moco_method, "queue_contrast", spy)
    for step in range(5):
        before, start = moco.queue.keys.clone(), int(moco.queue.pointer)
        calls.clear()
        moco(batch(*torch.rand(2, 4, 1, 4, 4)))
        assert len(calls) == (2 if symmetric else 1)
        for _, queue in calls:
            assert torch.equal(queue, before)
            for other, _ in calls:
                assert (torch.cdist(other, queue) > 1e-4).all()
        moco.after_step(step, committed=True)
        assert int(moco.queue.pointer) == (start + 4 * len(calls)) % 6
        newest = torch.cat([k for k, _ in calls])[-min(6, 4 * len(calls)) :]
        places = [(int(moco.queue.pointer) - len(newest) + i) % 6 for i in range(len(newest))]
        assert torch.equal(moco.queue.keys[places], newest)


def test_the_queue_starts_with_random_unit_keys_of_no_image() -> None:
    torch.manual_seed(0)
    queue = method(queue_length=16).queue
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(16))
    assert (queue.ids == -1).all() and queue.keys.dtype == torch.float32
    assert torch.cdist(queue.keys, queue.keys).fill_diagonal_(1).min() > 0.01


def state_of(moco: MoCo) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in moco.state_dict().items()}


def train(moco: MoCo, steps: range, size: int = 8) -> None:
    optimizer = torch.optim.SGD([p for p in moco.parameters() if p.requires_grad], lr=0.1)
    for step in steps:
        torch.manual_seed(step)
        loss = moco(batch(*torch.rand(2, size, 1, 4, 4), ids=torch.arange(size) + step)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        moco.after_step(step, committed=True)


def test_a_skipped_step_leaves_queue_and_key_encoder_untouched() -> None:
    moco = method(batch_size=8)
    train(moco, range(2))
    before = state_of(moco)
    moco(batch(torch.full((8, 1, 4, 4), math.nan), torch.full((8, 1, 4, 4), math.nan)))
    moco.after_step(2, committed=False)
    assert all(torch.equal(value, before[name]) for name, value in moco.state_dict().items())
    # Nothing of it comes in with the next step either.
    moco.after_step(3, committed=True)
    for name in ("queue.keys", "queue.ids", "queue.pointer"):
        assert torch.equal(moco.state_dict()[name], before[name])


def test_a_forward_in_evaluation_enqueues_nothing() -> None:
    moco = method(batch_size=8).eval()
    before = state_of(moco)
    moco(batch(*torch.rand(2, 5, 1, 4, 4)))
    moco.after_step(0, committed=True)
    for name in ("queue.keys", "queue.ids", "queue.pointer"):
        assert torch.equal(moco.state_dict()[name], before[name])


def test_a_restored_method_goes_on_bit_for_bit() -> None:
    settings: dict[str, Any] = {"batch_norm": "split", "bn_splits": 2, "queue_length": 20}
    torch.manual_seed(0)
    moco = method(Normed(), **settings)
    train(moco, range(4))
    state = state_of(moco)
    for name in ("queue.keys", "queue.ids", "queue.pointer", "key_trunk.backbone.conv.weight"):
        assert name in state
    again = method(Normed(), **settings)
    again.load_state_dict(state)
    assert all(torch.equal(v, state[name]) for name, v in again.state_dict().items())
    train(moco, range(4, 7))
    train(again, range(4, 7))
    for name, value in moco.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_key_encoder_starts_as_a_copy_without_gradient() -> None:
    moco = method(Normed())
    pairs = ((moco.key_trunk, moco.trunk), (moco.key_projection, moco.projection))
    for key, query in pairs:
        for (name, copied), original in zip(
            key.named_parameters(), query.parameters(), strict=True
        ):
            assert torch.equal(copied, original), name
            assert copied.data_ptr() != original.data_ptr()
            assert original.requires_grad and not copied.requires_grad
    moco(batch(*torch.rand(2, 8, 1, 4, 4))).loss.backward()
    assert all(p.grad is None for key, _ in pairs for p in key.parameters())
    assert all(p.grad is not None for _, query in pairs for p in query.parameters())


def test_the_key_encoder_keeps_moving_at_small_rates() -> None:
    key, query = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(key.weight, 1.0)
    nn.init.constant_(query.weight, 2.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(1000):
            move_towards(key, query, 0.999)
    assert key.weight.dtype == torch.float32
    assert key.weight.item() == pytest.approx(2 - 0.999**1000, abs=1e-4)


def test_the_momentum_rises_by_a_cosine() -> None:
    constant, rising = method(), method(momentum_schedule="cosine")
    assert {constant.momentum(step) for step in range(11)} == {0.99}
    got = [rising.momentum(step) for step in (0, 5, 10)]
    assert got == [pytest.approx(0.99), pytest.approx(0.9945), pytest.approx(0.999)]
    with pytest.raises(ValidationError, match="final_momentum"):
        method(momentum_schedule="cosine", momentum=0.9995)


@pytest.mark.parametrize(("step", "kept"), [(0, 0.99), (5, 0.9945), (10, 0.999)])
def test_the_key_encoder_moves_by_the_momentum_of_its_step(step: int, kept: float) -> None:
    moco = method(momentum_schedule="cosine")
    keys = [*moco.key_trunk.parameters(), *moco.key_projection.parameters()]
    with torch.no_grad():
        for query in (*moco.trunk.parameters(), *moco.projection.parameters()):
            query.fill_(1.0)
        for key in keys:
            key.zero_()
    moco.after_step(step, committed=True)
    for key in keys:
        torch.testing.assert_close(key, torch.full_like(key, 1 - kept))


def test_keys_are_normalised_among_shuffled_images() -> None:
    torch.manual_seed(0)
    moco = method(Normed(), batch_norm="split", bn_splits=2, queue_length=8)
    x1, x2 = torch.rand(2, 8, 1, 4, 4)
    torch.manual_seed(5)
    moco(batch(x1, x2))
    moco.after_step(0, committed=True)
    got = moco.queue.keys.clone()

    torch.manual_seed(5)
    order = torch.randperm(8)
    backbone = moco.trunk.backbone
    assert isinstance(backbone, Normed)
    expected = torch.zeros(8, 5)
    for part in (order[0::2], order[1::2]):
        h = backbone.conv(x2[part]).detach()
        h = (h - h.mean(0)) / torch.sqrt(h.var(0, unbiased=False) + 1e-5)
        expected[part] = F.normalize(moco.projection(h.flatten(1)).detach(), dim=1)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert order[0::2].sort().values.tolist() not in ([0, 2, 4, 6], [1, 3, 5, 7])


@pytest.mark.parametrize("mode", ["split", "plain"])
def test_statistics_give_the_key_away_only_without_splitting(mode: str) -> None:
    """For equal views and encoders a plain key is the query itself; a split one is not."""
    torch.manual_seed(0)
    moco = method(Normed(), batch_norm=mode, bn_splits=2)
    x = torch.rand(8, 1, 4, 4)
    alignment = float(moco(batch(x, x)).scalars["alignment"])
    assert (abs(alignment - 1) < 1e-5) == (mode == "plain")


def test_the_key_encoder_has_batch_statistics_of_its_own() -> None:
    torch.manual_seed(0)
    moco = method(Normed())
    x1, x2 = torch.rand(8, 1, 4, 4), 5 + torch.rand(8, 1, 4, 4)
    query, key = moco.trunk.backbone, moco.key_trunk.backbone
    assert isinstance(query, Normed) and isinstance(key, Normed)
    means = [0.1 * query.conv(x).mean((0, 2, 3)).detach() for x in (x1, x2)]
    moco(batch(x1, x2))
    moco.after_step(0, committed=True)
    torch.testing.assert_close(query.norm.running_mean, means[0])
    torch.testing.assert_close(key.norm.running_mean, means[1])


def test_only_the_query_encoder_is_optimised_and_decay_is_the_official() -> None:
    for everything in (True, False):
        moco = method(Normed(), decay_biases_and_norms=everything)
        config = OptimizerConfig(name="sgd", weight_decay=0.5)
        optimizer = ScheduledOptimizer(moco, config, Schedule(0.1, 0.0, 0, 10))
        groups = optimizer.optimizer.param_groups
        optimised = {id(p) for group in groups for p in group["params"]}
        parts = [*moco.trunk.parameters(), *moco.projection.parameters()]
        assert optimised == {id(p) for p in parts}
        for group in groups:
            for parameter in group["params"]:
                decayed = everything or parameter.ndim > 1
                assert group["weight_decay"] == (0.5 if decayed else 0.0)


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        ({}, [(6, 6), (5, 6)]),
        ({"projection_layers": 1}, [(5, 6)]),
        ({"projection_layers": 3, "hidden_dim": 7}, [(7, 6), (7, 7), (5, 7)]),
    ],
    ids=str,
)
def test_the_head_has_the_configured_shape(
    settings: dict[str, Any], shapes: list[tuple[int, int]]
) -> None:
    head = method(**settings).projection
    assert [tuple(m.weight.shape) for m in head if isinstance(m, nn.Linear)] == shapes
    assert not any(isinstance(m, nn.BatchNorm1d) for m in head)


@pytest.mark.parametrize(
    ("images", "length"), [(1, 1), (546, 512), (2553, 2048), (4096, 4096), (50_000, 4096)]
)
def test_the_queue_fits_the_set(images: int, length: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(method(num_images=images).queue) == length


def test_a_queue_longer_than_the_set_is_warned_of_with_the_recommended_value() -> None:
    with pytest.warns(UserWarning, match=r"4096 is more than the 546 images.* 512 is recommended"):
        moco = method(num_images=546, queue_length=4096)
    assert len(moco.queue) == 4096


@pytest.mark.parametrize(
    ("batch_size", "splits", "fitting"), [(12, 8, 6), (8, 8, 4), (7, 2, 1), (2, 2, 1)]
)
def test_batches_that_cannot_be_split_are_refused(
    batch_size: int, splits: int, fitting: int
) -> None:
    settings: dict[str, Any] = {"batch_norm": "split", "bn_splits": splits}
    with pytest.raises(ConfigError, match=f"set method.bn_splits = {fitting} "):
        method(batch_size=batch_size, **settings)
    moco = method(batch_size=batch_size, batch_norm="split", bn_splits=fitting)
    assert len(moco(batch(*torch.rand(2, batch_size, 1, 4, 4))).embeddings) == batch_size
    moco = method(batch_size=16 * splits, **settings)
    with pytest.raises(ConfigError, match="cannot split a batch"):
        moco(batch(*torch.rand(2, batch_size, 1, 4, 4)))


@pytest.mark.parametrize("number", [1, 3])
def test_other_than_two_views_are_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=f"two views.* gives {number}"):
        method()(batch(*torch.rand(number, 4, 1, 4, 4)))


def test_a_single_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        method(batch_size=1)


def test_parts_are_shared_evenly_among_processes() -> None:
    def built(splits: int, batch_size: int) -> MoCo:
        config = registry.config_model("method", "moco")(name="moco", bn_splits=splits)
        context = MethodContext(20, 10, batch_size, 4, 1, world_size=2)
        moco: MoCo = registry.factory("method", "moco")(Trunk(Normed()), config, context)
        return moco

    norms = [module for module in built(4, 8).modules() if isinstance(module, SplitBatchNorm)]
    assert [norm.splits for norm in norms] == [2, 2]
    with pytest.raises(ConfigError, match=r"bn_splits = 3 parts among 2 .* multiple of 2"):
        built(3, 8)
    with pytest.raises(ConfigError, match=r"batch of 12 images .* set method.bn_splits = 6 "):
        built(8, 6)


def test_embeddings_are_the_queries_and_alignment_their_cosine_to_the_keys() -> None:
    torch.manual_seed(0)
    moco = method(symmetric=True)
    x1, x2 = torch.rand(2, 8, 1, 4, 4)
    with torch.no_grad():
        q = [F.normalize(moco.projection(moco.trunk.embed(x)), dim=1) for x in (x1, x2)]
    output = moco(batch(x1, x2))
    assert output.embeddings is not None and not output.embeddings.requires_grad
    torch.testing.assert_close(output.embeddings, torch.cat(q))
    torch.testing.assert_close(output.scalars["alignment"], (q[0] * q[1]).sum(1).mean())
