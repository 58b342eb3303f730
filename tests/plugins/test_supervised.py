"""The supervised task: losses against hand-made values and a slow loop, and its masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ssl_registry import (
    Backbone,
    ConfigError,
    Decoder,
    SegmentationBatch,
    SegmentationNetwork,
    TaskContext,
    create,
    registry,
)
from ssl_registry.nn import foreground_probabilities, output_count
from ssl_registry_supervised.loss import soft_dice_loss
from ssl_registry_supervised.task import Supervised


class Pixels(Backbone):
    """The image itself."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.channels, self.reductions = in_channels, (in_channels,), (1,)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images]


class Same(Decoder):
    """The only level, unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = channels

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        return features[-1]


def task(classes: int = 1, exclusive: bool = True, **settings: Any) -> Supervised:
    """A task whose network gives its input back as logits."""
    config = registry.config_model("task", "supervised")(**settings)
    outputs = output_count(classes, exclusive)
    network = SegmentationNetwork(Pixels(outputs), Same(outputs), outputs)
    with torch.no_grad():
        network.head.weight.copy_(torch.eye(outputs)[:, :, None, None])
        nn.init.zeros_(network.head.bias)
    context = TaskContext(tuple(f"class{k}" for k in range(classes)), exclusive, total_steps=1)
    built: Supervised = registry.factory("task", "supervised")(network, config, context)
    return built


def slow_dice(p: Tensor, t: Tensor, over: str, smooth: float) -> float:
    """Dice by counting pixel after pixel; p and t are `[N, K, H, W]`."""
    n, k, h, w = p.shape
    groups = (
        [([i], c) for i in range(n) for c in range(k)]
        if over == "image"
        else [(list(range(n)), c) for c in range(k)]
    )
    losses = []
    for images, c in groups:
        overlap = predicted = true = 0.0
        for i in images:
            for y in range(h):
                for x in range(w):
                    overlap += float(p[i, c, y, x]) * float(t[i, c, y, x])
                    predicted += float(p[i, c, y, x])
                    true += float(t[i, c, y, x])
        losses.append(1 - (2 * overlap + smooth) / (predicted + true + smooth))
    return sum(losses) / len(losses)


def test_dice_of_hand_made_cases() -> None:
    target = torch.tensor([1.0, 1, 0, 0]).reshape(1, 1, 2, 2)

    def loss(values: list[float], wanted: Tensor = target) -> float:
        p = torch.tensor(values).reshape(1, 1, 2, 2)
        return float(soft_dice_loss(p, wanted, "image", 1e-5))

    assert loss([1, 1, 0, 0]) == pytest.approx(0, abs=1e-5)
    assert loss([0, 0, 1, 1]) == pytest.approx(1, abs=1e-5)
    assert loss([0.5, 0.5, 0.5, 0.5]) == pytest.approx(0.5, abs=1e-5)  # 2*1 / (2 + 2)
    assert loss([1, 0, 0, 0]) == pytest.approx(1 / 3, abs=1e-5)  # 2*1 / (1 + 2)
    empty = torch.zeros(1, 1, 2, 2)
    assert loss([0, 0, 0, 0], empty) == 0
    assert loss([1, 0, 0, 0], empty) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (3, 1, 4, 4), (3, 2, 5, 3)])
def test_dice_equals_the_slow_loop(shape: tuple[int, ...], over: Any) -> None:
    torch.manual_seed(0)
    p = torch.rand(shape, dtype=torch.float64)
    t = (torch.rand(shape, dtype=torch.float64) > 0.6).double()
    t[0] = 0
    assert float(soft_dice_loss(p, t, over, 1e-5)) == pytest.approx(
        slow_dice(p, t, over, 1e-5), rel=1e-12
    )


def test_the_binary_loss_by_hand() -> None:
    # Logits 0 everywhere: p = 1/2, cross entropy ln 2, Dice 2*1/(2 + 2).
    masks = torch.tensor([[[1, 1], [0, 0]]], dtype=torch.uint8)
    output = task()(SegmentationBatch(torch.zeros(1, 1, 2, 2), masks), None)
    assert float(output.scalars["bce"]) == pytest.approx(math.log(2))
    assert float(output.scalars["dice_loss"]) == pytest.approx(0.5, abs=1e-5)
    assert float(output.loss.detach()) == pytest.approx(0.5 * math.log(2) + 0.5, abs=1e-5)
    assert not any(value.requires_grad for value in output.scalars.values())


def slow_bce(p: Tensor, t: Tensor) -> float:
    pairs = zip(p.flatten().tolist(), t.flatten().tolist(), strict=True)
    terms = [-math.log(a) if b else -math.log(1 - a) for a, b in pairs]
    return sum(terms) / len(terms)


@pytest.mark.parametrize("over", ["image", "batch"])
def test_the_weighted_binary_loss_equals_the_slow_loop(over: str) -> None:
    torch.manual_seed(1)
    images = torch.randn(3, 1, 4, 5)
    masks = (torch.rand(3, 4, 5) > 0.5).to(torch.uint8)
    built = task(bce_weight=0.3, dice_weight=0.7, dice=over, smooth=0.1)
    loss = built(SegmentationBatch(images, masks), None).loss.detach()
    p, t = 1 / (1 + torch.exp(-images.double())), masks[:, None].double()
    assert float(loss) == pytest.approx(
        0.3 * slow_bce(p, t) + 0.7 * slow_dice(p, t, over, 0.1), rel=1e-5
    )
    torch.testing.assert_close(
        foreground_probabilities(built.predictor(images), 1).double(), p, atol=1e-6, rtol=0
    )


def test_overlapping_classes_are_independent_sigmoids() -> None:
    torch.manual_seed(2)
    images = torch.randn(2, 3, 4, 4)
    masks = (torch.rand(2, 3, 4, 4) > 0.5).to(torch.uint8)
    built = task(classes=3, exclusive=False)
    output = built(SegmentationBatch(images, masks), None)
    p, t = 1 / (1 + torch.exp(-images.double())), masks.double()
    expected = 0.5 * slow_bce(p, t) + slow_dice(p, t, "image", 1e-5)
    assert float(output.loss.detach()) == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(
        foreground_probabilities(built.predictor(images), 3).double(), p, atol=1e-6, rtol=0
    )


def test_exclusive_classes_share_a_softmax_with_the_background() -> None:
    torch.manual_seed(3)
    images = torch.randn(2, 3, 4, 4)  # background and two classes
    masks = torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    built = task(classes=2)
    output = built(SegmentationBatch(images, masks), None)
    exponentials = images.double().exp()
    p = exponentials / exponentials.sum(dim=1, keepdim=True)
    chosen = [
        -math.log(float(p[i, int(masks[i, y, x]), y, x]))
        for i in range(2)
        for y in range(4)
        for x in range(4)
    ]
    t = torch.stack([masks == 1, masks == 2], dim=1).double()
    expected = 0.5 * sum(chosen) / len(chosen) + slow_dice(p[:, 1:], t, "image", 1e-5)
    assert float(output.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert set(output.scalars) == {"ce", "dice_loss"}
    foreground = foreground_probabilities(built.predictor(images), 2)
    assert foreground.shape == (2, 2, 4, 4)
    torch.testing.assert_close(foreground.double(), p[:, 1:], atol=1e-6, rtol=0)


@pytest.mark.parametrize("over", ["image", "batch"])
@pytest.mark.parametrize("logit", [-40.0, 0.0, 40.0])
def test_empty_masks_give_a_finite_loss_and_gradient(logit: float, over: str) -> None:
    built = task(dice=over)
    images = torch.full((2, 1, 8, 8), logit)
    loss = built(SegmentationBatch(images, torch.zeros(2, 8, 8, dtype=torch.uint8)), None).loss
    loss.backward()
    gradient = built.network.head.weight.grad
    assert torch.isfinite(loss) and gradient is not None and torch.isfinite(gradient).all()
    if logit >= 0:  # a false alarm is pushed down
        bias = built.network.head.bias
        assert bias is not None and bias.grad is not None and float(bias.grad.sum()) > 0


def test_the_loss_is_fp32_under_autocast() -> None:
    built = task()
    batch = SegmentationBatch(torch.randn(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.uint8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert built.network(batch.images).dtype == torch.bfloat16
        assert built(batch, None).loss.dtype == torch.float32
        assert foreground_probabilities(built.predictor(batch.images), 1).dtype == torch.float32


def test_without_augmentation_the_batch_is_the_same() -> None:
    batch = SegmentationBatch(torch.rand(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8))
    assert task().augment(batch) is batch


def test_light_augmentation_moves_images_and_masks_alike() -> None:
    torch.manual_seed(0)
    images = torch.zeros(32, 1, 48, 48)
    images[:, :, 12:30, 8:24] = 0.8
    masks = (images[:, 0] > 0.4).to(torch.uint8)
    moved = task(augment="light").augment(SegmentationBatch(images, masks))
    seen = moved.images[:, 0] > 0.5 * moved.images.amax(dim=(1, 2, 3))[:, None, None]
    wrong = (seen != moved.masks.bool()).float().mean(dim=(1, 2))
    assert float(wrong.max()) < 0.02
    assert len({tuple(mask.flatten().tolist()) for mask in moved.masks}) > 30


def test_unlabelled_images_are_not_used() -> None:
    batch = SegmentationBatch(torch.randn(2, 1, 8, 8), torch.ones(2, 8, 8, dtype=torch.uint8))
    built = task()
    assert torch.equal(built(batch, None).loss, built(batch, torch.randn(4, 1, 8, 8)).loss)


@pytest.mark.parametrize("freeze", [0.0, 0.5, 1.0])
def test_what_was_frozen_before_stays_so(freeze: float) -> None:
    config = registry.config_model("task", "supervised")(freeze_encoder=freeze)
    backbone = create("backbone", "unet_encoder", in_channels=1, widths=(4, 8))
    backbone.levels[0].requires_grad_(False)
    own = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert 0 < len(own) < len(list(backbone.parameters()))
    decoder = create(
        "decoder", "unet", channels=backbone.channels, reductions=backbone.reductions, widths=(4,)
    )
    network = SegmentationNetwork(backbone, decoder, 1)
    made = registry.factory("task", "supervised")(
        network, config, TaskContext(("lesion",), True, total_steps=4)
    )

    def learning() -> set[str]:
        return {name for name, p in backbone.named_parameters() if p.requires_grad}

    assert learning() == (own if freeze < 1 else set())
    for step in range(4):
        made.before_step(step)
        assert learning() == (own if step >= 4 * freeze else set())


def test_a_network_with_the_wrong_outputs_is_refused() -> None:
    config = registry.config_model("task", "supervised")()
    network = SegmentationNetwork(Pixels(2), Same(2), 2)
    with pytest.raises(ConfigError, match=r"1 outputs for the classes lesion, .* has 2"):
        Supervised(network, config, TaskContext(("lesion",), True, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no classes"):
        Supervised(network, config, TaskContext((), True, 1))  # type: ignore[arg-type]


def test_two_weights_of_zero_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing would be learnt"):
        registry.config_model("task", "supervised")(bce_weight=0, dice_weight=0)
