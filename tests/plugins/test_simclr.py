"""The SimCLR plugin: its loss against a slow loop and lightly, its forward, its views."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ssl_registry import (
    Backbone,
    ConfigError,
    MethodContext,
    PretrainBatch,
    StepOutput,
    Trunk,
    Views,
    registry,
)
from ssl_registry.augment import Jitter, TwoViews, contrastive_chain
from ssl_registry_simclr.loss import nt_xent
from ssl_registry_simclr.method import SimCLR


def slow_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Equation 1 of Chen et al. 2020, view by view."""
    n = len(z1)
    z = [*z1, *z2]

    def sim(i: int, k: int) -> Tensor:
        return (z[i] @ z[k]) / (z[i].norm() * z[k].norm())

    total = torch.zeros((), dtype=z1.dtype)
    for i in range(2 * n):
        j = i + n if i < n else i - n
        denominator = sum(torch.exp(sim(i, k) / temperature) for k in range(2 * n) if k != i)
        total = total - torch.log(torch.exp(sim(i, j) / temperature) / denominator)
    return total / (2 * n)


def views(n: int, d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n * 100 + d)
    z1, z2 = torch.randn(2, n, d, dtype=dtype, generator=generator)
    return z1.requires_grad_(), z2.requires_grad_()


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize(("n", "d"), [(2, 3), (5, 4), (9, 16)])
def test_loss_and_gradients_equal_the_slow_loop(n: int, d: int, temperature: float) -> None:
    z1, z2 = views(n, d)
    slow = slow_nt_xent(z1, z2, temperature)
    expected = torch.autograd.grad(slow, (z1, z2))
    fast = nt_xent(z1, z2, temperature)
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)
    for got, wanted in zip(torch.autograd.grad(fast, (z1, z2)), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    single = nt_xent(z1.float(), z2.float(), temperature)
    assert abs(float(single.detach()) - float(slow.detach())) < 1e-5


@pytest.mark.parity
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_loss_and_gradients_equal_lightlys(temperature: float) -> None:
    loss = pytest.importorskip("lightly.loss", reason="needs the dev extra")
    z1, z2 = views(8, 16)
    theirs = loss.NTXentLoss(temperature=temperature)(z1, z2)
    ours = nt_xent(z1, z2, temperature)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(value, (z1, z2)) for value in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [8, 64])
def test_orthogonal_views_start_at_ln_2n_minus_1(n: int) -> None:
    z = torch.eye(2 * n)
    assert float(nt_xent(z[:n], z[n:], 0.5)) == pytest.approx(math.log(2 * n - 1), abs=1e-5)


def test_swapping_the_views_or_scaling_them_changes_nothing() -> None:
    z1, z2 = views(6, 5)
    torch.testing.assert_close(nt_xent(z1, z2, 0.3), nt_xent(z2, z1, 0.3))
    torch.testing.assert_close(nt_xent(z1, z2, 0.3), nt_xent(7 * z1, 0.01 * z2, 0.3))


def test_the_smallest_temperature_stays_finite() -> None:
    z1, z2 = views(6, 5, torch.float32)
    loss = nt_xent(z1, z2, 0.001)
    loss.backward()
    assert torch.isfinite(loss)
    assert z1.grad is not None and torch.isfinite(z1.grad).all()
    assert torch.isfinite(nt_xent(torch.zeros(3, 4), torch.zeros(3, 4), 0.5))


def test_bf16_inputs_under_autocast_give_the_fp32_loss() -> None:
    z1, z2 = (z.detach().bfloat16() for z in views(16, 32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nt_xent(z1, z2, 0.07)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, nt_xent(z1.float(), z2.float(), 0.07), rtol=0, atol=0)


class Flat(Backbone):
    """Pixels as channels of a 1x1 map, normalised over the batch; counts its forwards."""

    in_channels, channels, reductions = 1, (16,), (4,)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(16, affine=False)
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.batches.append(len(images))
        return [self.norm(images.reshape(len(images), 16, 1, 1))]


def method(batch_size: int = 8, **settings: Any) -> SimCLR:
    config = registry.config_model("method", "simclr")(**settings)
    context = MethodContext(
        num_images=8, total_steps=1, batch_size=batch_size, image_size=4, channels=1
    )
    built: SimCLR = registry.factory("method", "simclr")(Trunk(Flat()), config, context)
    return built


def batch(*images: Tensor) -> PretrainBatch:
    return PretrainBatch(Views(images), torch.arange(len(images[0])))


def test_both_views_go_through_the_network_in_one_forward() -> None:
    torch.manual_seed(0)
    simclr = method(temperature=0.2)
    x1, x2 = torch.rand(2, 8, 1, 4, 4)
    output: StepOutput = simclr(batch(x1, x2))
    backbone = simclr.trunk.backbone
    assert isinstance(backbone, Flat) and backbone.batches == [16]
    pixels = torch.cat([x1, x2]).reshape(16, 16)
    mean, variance = pixels.mean(dim=0), pixels.var(dim=0, unbiased=False)
    z = simclr.projection((pixels - mean) / torch.sqrt(variance + 1e-5))
    torch.testing.assert_close(output.loss, slow_nt_xent(z[:8], z[8:], 0.2))
    normed = (z / z.norm(dim=1, keepdim=True)).detach()
    assert output.embeddings is not None and not output.embeddings.requires_grad
    torch.testing.assert_close(output.embeddings, normed)
    alignment = output.scalars["alignment"]
    assert not alignment.requires_grad
    assert float(alignment) == pytest.approx(float((normed[:8] * normed[8:]).sum() / 8), abs=1e-5)


def test_alignment_of_equal_views_is_one() -> None:
    x = torch.rand(8, 1, 4, 4)
    assert float(method()(batch(x, x)).scalars["alignment"]) == pytest.approx(1, abs=1e-5)


def test_the_loss_is_fp32_under_autocast_and_reaches_every_parameter() -> None:
    simclr = method(projection_batch_norm=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = simclr(batch(*torch.rand(2, 8, 1, 4, 4)))
    assert output.loss.dtype == torch.float32 and output.loss.shape == ()
    output.loss.backward()
    for name, parameter in simclr.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_training_pulls_the_views_together() -> None:
    torch.manual_seed(0)
    simclr = method(temperature=0.5)
    base = torch.rand(8, 1, 4, 4)
    pair = batch(base + 0.1 * torch.randn_like(base), base + 0.1 * torch.randn_like(base))
    optimizer = torch.optim.Adam(simclr.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = simclr(pair).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    # A perfect arrangement of 8 pairs: cosine 1 to the other view, -1/7 to the rest.
    best = -2 + math.log(math.exp(2) + 14 * math.exp(-2 / 7))
    assert losses[-1] < losses[0] - 0.5
    assert best - 1e-4 <= losses[-1] < best + 0.2


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        ({}, [(16, 16), (128, 16)]),
        ({"hidden_dim": 5, "projection_dim": 3}, [(5, 16), (3, 5)]),
        ({"projection_layers": 1}, [(128, 16)]),
        ({"projection_layers": 3, "hidden_dim": 7}, [(7, 16), (7, 7), (128, 7)]),
    ],
)
def test_the_head_has_the_configured_shape(
    settings: dict[str, Any], shapes: list[tuple[int, int]]
) -> None:
    layers = [m for m in method(**settings).projection if isinstance(m, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == shapes


@pytest.mark.parametrize("number", [1, 3])
def test_other_than_two_views_are_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=f"two views.* gives {number}"):
        method()(batch(*torch.rand(number, 4, 1, 4, 4)))


def test_a_single_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="one image"):
        method()(batch(*torch.rand(2, 1, 1, 4, 4)))
    with pytest.raises(ConfigError, match="batch_size"):
        method(batch_size=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_scale": (0.5, 0.2)},
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.5, 1.2)},
        {"crop_ratio": (-1, 1)},
        {"blur_sigma": (2.0, 0.1)},
        {"jitter_strength": 3.0},
        {"flip": 1.5},
    ],
    ids=str,
)
def test_impossible_augmentations_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.config_model("augmentation", "simclr")(**settings)


def test_the_jitter_strength_scales_all_four() -> None:
    config = registry.config_model("augmentation", "simclr")(jitter_strength=0.5, blur=0.0)
    pipeline = registry.factory("augmentation", "simclr")(config, 32, 3)
    text = repr(pipeline)
    assert "brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1" in text
    assert "Blur" not in text and "Grayscale" in text


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_views_are_those_of_the_paper_s_chain(channels: int, strength: float) -> None:
    config = registry.config_model("augmentation", "simclr")(jitter_strength=strength)
    pipeline = registry.factory("augmentation", "simclr")(config, 32, channels)
    chain = contrastive_chain(
        32,
        channels,
        crop_scale=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3),
        flip=0.5,
        jitter=Jitter(
            brightness=strength * 0.8,
            contrast=strength * 0.8,
            saturation=strength * 0.8,
            hue=strength * 0.2,
            share=0.8,
        ),
        grayscale=0.2,
        blur=0.5,
        blur_sigma=(0.1, 2.0),
    )
    images = torch.rand(6, channels, 40, 40)
    drawn = []
    for views_of in (pipeline, TwoViews(chain)):
        torch.manual_seed(5)
        drawn.append(torch.stack(views_of(images).images))
    assert torch.equal(*drawn)


def test_a_strong_hue_is_allowed_if_it_is_scaled_down() -> None:
    model = registry.config_model("augmentation", "simclr")
    config = model(hue=0.8, jitter_strength=0.5)
    assert "hue=0.4" in repr(registry.factory("augmentation", "simclr")(config, 32, 3))
    with pytest.raises(ValidationError, match=r"at most 0\.5"):
        model(hue=0.8)


def test_the_default_method_names_the_augmentation_of_this_plugin() -> None:
    name = registry.config_model("method", "simclr").default_augmentation  # type: ignore[attr-defined]
    assert registry.find("augmentation", name).plugin.name == "simclr"
