"""Views: their distributions, their range, and that every image stands for itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from ssl_registry.augment import Jitter, RandomJitter, TwoViews, blur_kernel, contrastive_chain

NO_JITTER = Jitter(brightness=0, contrast=0, saturation=0, hue=0, share=0)
SIMCLR_JITTER = Jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, share=0.8)
IDENTITY: dict[str, Any] = {
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "flip": 0.0,
    "jitter": NO_JITTER,
    "grayscale": 0.0,
    "blur": 0.0,
    "blur_sigma": (0.1, 2.0),
}
SIMCLR: dict[str, Any] = {
    "crop_scale": (0.08, 1.0),
    "crop_ratio": (3 / 4, 4 / 3),
    "flip": 0.5,
    "jitter": SIMCLR_JITTER,
    "grayscale": 0.2,
    "blur": 0.5,
    "blur_sigma": (0.1, 2.0),
}


def two_views(size: int, channels: int, **settings: Any) -> TwoViews:
    return TwoViews(contrastive_chain(size, channels, **{**IDENTITY, **settings}))


def stacked(pipeline: TwoViews, images: Tensor, seed: int = 0) -> Tensor:
    """The views as `[2, N, C, H, W]`."""
    torch.manual_seed(seed)
    views = pipeline(images)
    assert views.masks is None
    return torch.stack(views.images)


def coordinates(n: int, size: int) -> Tensor:
    """Images `[n, 3, size, size]` whose first two channels are the pixel's x and y in [0, 1]."""
    line = torch.linspace(0, 1, size)
    x = line.expand(size, size)
    return torch.stack([x, x.T, torch.zeros(size, size)]).expand(n, 3, size, size).contiguous()


def crop_boxes(settings: dict[str, Any], n: int, size: int) -> tuple[Tensor, Tensor]:
    """Width and height, px, of n drawn crops, read off coordinate images."""
    pipeline = two_views(16, 3, backend="kornia", **settings)
    view = stacked(pipeline, coordinates(n // 2, size)).flatten(0, 1)
    extent = view.amax(dim=(-1, -2)) - view.amin(dim=(-1, -2))
    side = extent * (size - 1) + 1
    return side[:, 0], side[:, 1]


def torchvision_boxes(scale: tuple[float, float], n: int, size: int) -> tuple[Tensor, Tensor]:
    crop = v2.RandomResizedCrop(16, scale=scale)
    drawn = [crop.make_params([torch.empty(1, size, size)]) for _ in range(n)]
    width = torch.tensor([float(p["width"]) for p in drawn])
    return width, torch.tensor([float(p["height"]) for p in drawn])


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 1.0), (0.3, 0.6)])
def test_crops_are_distributed_as_torchvisions(scale: tuple[float, float]) -> None:
    n, size = 6000, 80
    ours = crop_boxes({"crop_scale": scale, "crop_ratio": (3 / 4, 4 / 3)}, n, size)
    torch.manual_seed(1)
    theirs = torchvision_boxes(scale, n, size)
    probabilities = torch.linspace(0.05, 0.95, 10)
    for ours_values, their_values in (
        (ours[0] * ours[1] / size**2, theirs[0] * theirs[1] / size**2),
        ((ours[0] / ours[1]).log(), (theirs[0] / theirs[1]).log()),
    ):
        gap = ours_values.quantile(probabilities) - their_values.quantile(probabilities)
        assert gap.abs().max() < 0.025
    full = [
        ((w == size) | (h == size)).float().mean() for w, h in (torch.stack(ours).round(), theirs)
    ]
    assert abs(full[0] - full[1]) < 0.015


def test_small_crops_have_a_uniform_area() -> None:
    # Where every drawn box fits, area is U(scale) and log aspect is U(log ratio).
    width, height = crop_boxes({"crop_scale": (0.1, 0.4), "crop_ratio": (3 / 4, 4 / 3)}, 6000, 80)
    area = width * height / 80**2
    assert abs(area.mean() - 0.25) < 0.005
    assert abs(area.std() - 0.3 / math.sqrt(12)) < 0.005
    aspect = (width / height).log()
    assert abs(aspect.mean()) < 0.01
    assert abs(aspect.std() - 2 * math.log(4 / 3) / math.sqrt(12)) < 0.005


def test_small_crops_lie_anywhere_in_the_image() -> None:
    size = 80
    pipeline = two_views(16, 3, crop_scale=(0.1, 0.4), crop_ratio=(3 / 4, 4 / 3), backend="kornia")
    view = stacked(pipeline, coordinates(3000, size)).flatten(0, 1)[:, :2]
    low, high = view.amin(dim=(-1, -2)), view.amax(dim=(-1, -2))
    place = low / (low + 1 - high)  # of the corner, among all that fit: U(0, 1)
    assert uniform_gap(place[:, 0], 0, 1) < 0.03 and uniform_gap(place[:, 1], 0, 1) < 0.03
    assert abs(torch.corrcoef(place.T)[0, 1]) < 0.05


def uniform_gap(values: Tensor, low: float, high: float) -> float:
    """Largest distance between the distribution of `values` and U(low, high) (Kolmogorov)."""
    ranks = (torch.arange(len(values)) + 0.5) / len(values)
    shares = (values.sort().values - low) / (high - low)
    return float((shares - ranks).abs().max())


def test_a_crop_of_kornias_reads_only_its_own_box_of_a_linear_image() -> None:
    view = stacked(two_views(16, 3, crop_scale=(0.1, 0.4), backend="kornia"), coordinates(20, 40))
    x = view[:, :, 0]
    # Bilinear sampling of a ramp is a ramp: equal steps to the last column, no border effect.
    steps = x[..., 1:] - x[..., :-1]
    torch.testing.assert_close(steps, steps[..., :1].expand_as(steps), atol=1e-5, rtol=0)


def test_the_whole_image_is_kept_when_nothing_is_asked_for() -> None:
    images = torch.rand(5, 3, 32, 32)
    view = stacked(two_views(32, 3), images)
    torch.testing.assert_close(view, images.expand(2, *images.shape), atol=1e-5, rtol=0)


def test_half_of_the_views_are_flipped_left_to_right() -> None:
    view = stacked(two_views(8, 3, flip=0.5), coordinates(2000, 8))
    flipped = view[:, :, 0, 0, 0] > view[:, :, 0, 0, -1]
    assert abs(flipped.float().mean() - 0.5) < 0.03
    assert torch.equal(view[:, :, 1, 0, 0], torch.zeros(2, 2000))  # never upside down
    both = (flipped[0] & flipped[1]).float().mean()
    assert abs(both - 0.25) < 0.04  # the views of one image are flipped independently


def share_changed(pipeline: TwoViews, images: Tensor) -> float:
    view = stacked(pipeline, images)
    return float(((view - images).abs().amax(dim=(2, 3, 4)) > 1e-4).float().mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_shares_of_jitter_gray_and_blur(channels: int) -> None:
    images = torch.rand(1000, channels, 16, 16) * 0.5 + 0.2
    jitter = two_views(16, channels, jitter=SIMCLR_JITTER)
    assert abs(share_changed(jitter, images) - 0.8) < 0.04
    assert abs(share_changed(two_views(16, channels, blur=0.5), images) - 0.5) < 0.05
    gray = share_changed(two_views(16, channels, grayscale=0.2), images)
    assert gray == 0 if channels == 1 else abs(gray - 0.2) < 0.04


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range_and_sizes_follow(channels: int) -> None:
    images = torch.rand(64, channels, 80, 60)
    images[0], images[1] = 0.0, 1.0
    view = stacked(two_views(64, channels, **SIMCLR), images)
    assert view.shape == (2, 64, channels, 64, 64) and view.dtype == torch.float32
    assert float(view.min()) >= 0 and float(view.max()) <= 1 and torch.isfinite(view).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_no_image_influences_another(channels: int) -> None:
    pipeline = two_views(24, channels, **SIMCLR)
    images = torch.rand(16, channels, 30, 30)
    changed = images.clone()
    changed[5] = torch.rand(channels, 30, 30) * 0.1
    before, after = stacked(pipeline, images), stacked(pipeline, changed)
    others = torch.arange(16) != 5
    assert torch.equal(before[:, others], after[:, others])
    assert not torch.equal(before[:, 5], after[:, 5])


def test_one_channel_equals_three_equal_ones() -> None:
    # Without grayscale both chains make the same draws; hue and saturation do nothing on gray.
    settings = {**SIMCLR, "grayscale": 0.0}
    gray = torch.rand(32, 1, 40, 40)
    one = stacked(two_views(32, 1, **settings), gray)
    three = stacked(two_views(32, 3, **settings), gray.expand(-1, 3, -1, -1).contiguous())
    torch.testing.assert_close(three, one.expand_as(three), atol=2e-5, rtol=0)


def test_the_seed_alone_decides() -> None:
    pipeline = two_views(24, 3, **SIMCLR)
    images = torch.rand(8, 3, 30, 30)
    first = stacked(pipeline, images, seed=1)
    assert torch.equal(first, stacked(pipeline, images, seed=1))
    assert not torch.equal(first, stacked(pipeline, images, seed=2))
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(1)
    assert torch.equal(first, torch.stack(two_views(24, 3, **SIMCLR).eval()(images).images))


def test_precision_does_not_change_the_draws() -> None:
    images = torch.rand(8, 1, 30, 30)
    single = stacked(two_views(24, 1, **SIMCLR), images)
    double = stacked(two_views(24, 1, **SIMCLR).double(), images.double())
    torch.testing.assert_close(double.float(), single, atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_views_of_half_precision_are_those_of_fp32_rounded(precision: torch.dtype) -> None:
    images = torch.rand(6, 1, 65, 65, generator=torch.Generator().manual_seed(0)).to(precision)
    made = two_views(33, 1, **SIMCLR)
    torch.manual_seed(3)
    found = made(images).images
    torch.manual_seed(3)
    expected = made(images.float()).images
    for half, full in zip(found, expected, strict=True):
        assert half.dtype == precision
        assert torch.equal(half, full.to(precision))


def test_images_are_left_alone_and_views_share_no_memory_with_them() -> None:
    images = torch.rand(4, 1, 16, 16)
    copy = images.clone()
    views = two_views(16, 1)(images)
    views.images[0].zero_()
    assert torch.equal(images, copy)


def test_integer_images_are_refused() -> None:
    with pytest.raises(TypeError, match="float images"):
        two_views(16, 1)(torch.zeros(2, 1, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("size", "kernel"), [(16, 3), (32, 3), (50, 5), (64, 7), (100, 11), (224, 23)]
)
def test_blur_kernels_are_a_tenth_and_odd(size: int, kernel: int) -> None:
    assert blur_kernel(size) == kernel


def test_blur_is_a_gaussian_of_a_drawn_sigma() -> None:
    impulse = torch.zeros(200, 1, 64, 64)
    impulse[:, :, 32, 32] = 1.0
    view = stacked(two_views(64, 1, blur=1.0, blur_sigma=(0.5, 1.0)), impulse)
    rows = view.sum(dim=(2, 3)).flatten(0, 1)  # the kernel's profile along x
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(400), atol=1e-4, rtol=0)
    # A Gaussian's neighbouring samples relate as exp(-1 / (2 sigma^2)).
    sigma = (-0.5 / (rows[:, 33] / rows[:, 32]).log()).sqrt()
    assert float(sigma.min()) + 1e-3 >= 0.5 and float(sigma.max()) <= 1.0 + 1e-3
    assert abs(float(sigma.mean()) - 0.75) < 0.03


def test_each_jitter_equals_torchvisions() -> None:
    """A single strength at a time, whose factor is then found by a search over one number."""
    images = torch.rand(24, 3, 8, 8)
    functions = {
        "brightness": v2.functional.adjust_brightness,
        "contrast": v2.functional.adjust_contrast,
        "saturation": v2.functional.adjust_saturation,
    }
    for name, function in functions.items():
        strengths = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, name: 0.8}
        torch.manual_seed(0)
        jittered = RandomJitter(Jitter(**strengths, share=1.0), channels=3)(images)
        factors = torch.linspace(0.2, 1.8, 3201)
        for image, result in zip(images[:4], jittered[:4], strict=True):
            errors = [(function(image, float(f)) - result).abs().max() for f in factors[::80]]
            start = int(torch.stack(errors).argmin()) * 80
            near = factors[max(0, start - 80) : start + 80]
            best = min(float((function(image, float(f)) - result).abs().max()) for f in near)
            assert best < 1e-3, name


def jittered(name: str, strength: float, image: Tensor, n: int = 3000) -> Tensor:
    torch.manual_seed(0)
    strengths = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, name: strength}
    jitter = RandomJitter(Jitter(**strengths, share=1.0), channels=3)
    changed: Tensor = jitter(image.expand(n, 3, *image.shape[-2:]).contiguous())
    return changed


@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_the_factors_of_jitter_are_uniform_and_each_image_has_its_own(strength: float) -> None:
    # Small steps around a middle gray, so that nothing is cut off at 0 or 1.
    flat, edge = torch.full((1, 2, 2), 0.3), torch.tensor([[[0.45, 0.55]]])
    tinted = torch.tensor([0.5, 0.45, 0.5]).view(3, 1, 1)
    bright = jittered("brightness", strength, flat)[:, 0, 0, 0] / 0.3
    contrast = jittered("contrast", strength, edge).diff(dim=-1)[:, 0, 0, 0] / 0.1
    saturated = jittered("saturation", strength, tinted)
    saturation = (saturated[:, 0] - saturated[:, 1]).flatten() / 0.05
    for factors in (bright, contrast, saturation):
        assert uniform_gap(factors, 1 - strength, 1 + strength) < 0.03


@pytest.mark.parametrize("hue", [0.1, 0.15])
def test_the_turns_of_hue_are_uniform(hue: float) -> None:
    red = torch.tensor([0.6, 0.2, 0.2]).view(3, 1, 1)
    turned = jittered("hue", hue, red).flatten(1)
    # Within a sixth of a turn red gains green on one side, blue on the other, in proportion.
    turns = (turned[:, 1] - turned[:, 2]) / 0.4 / 6
    assert uniform_gap(turns, -hue, hue) < 0.03


def test_hue_turns_as_torchvisions_and_within_its_limit() -> None:
    images = torch.rand(8, 3, 8, 8)
    torch.manual_seed(0)
    turned = RandomJitter(Jitter(0.0, 0.0, 0.0, 0.2, share=1.0), channels=3)(images)
    turns = torch.linspace(-0.2, 0.2, 801)
    for image, result in zip(images, turned, strict=True):
        errors = [
            (v2.functional.adjust_hue(image, float(turn)) - result).abs().max()
            for turn in turns[::40]
        ]
        start = int(torch.stack(errors).argmin()) * 40
        near = turns[max(0, start - 40) : start + 41]
        best = min(
            float((v2.functional.adjust_hue(image, float(turn)) - result).abs().max())
            for turn in near
        )
        assert best < 3e-3
        assert not torch.allclose(image, result, atol=1e-3)


def test_gray_is_the_luma_of_torchvision() -> None:
    images = torch.rand(4, 3, 16, 16)
    view = stacked(two_views(16, 3, grayscale=1.0), images)
    luma = v2.functional.rgb_to_grayscale(images, num_output_channels=3)
    torch.testing.assert_close(view, luma.expand_as(view), atol=2e-4, rtol=0)


def test_a_batch_is_jittered_in_several_orders_and_views_never_share_one_draw() -> None:
    torch.manual_seed(0)
    jitter = RandomJitter(SIMCLR_JITTER, channels=1)
    orders: list[tuple[int, ...]] = []
    for inner in jitter.children():
        inner.register_forward_hook(
            lambda m, _, __: orders.append(tuple(m._params["order"].tolist()))
        )
    for _ in range(200):
        jitter(torch.rand(16, 1, 4, 4))
    assert len(orders) == 8 * 200
    assert len(set(orders[:8])) > 1
    brightness_first = sum(order.index(0) < order.index(1) for order in orders) / len(orders)
    assert abs(brightness_first - 0.5) < 0.05
