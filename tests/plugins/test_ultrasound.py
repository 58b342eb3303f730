"""The augmentation `ultrasound`: its draws against formulas, its range, its independence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ssl_registry import create, registry
from ssl_registry_ultrasound.tilt import turned

QUIET: dict[str, Any] = {
    "rotation": 0,
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "flip": 0,
    "depth_gain": 0,
    "gamma": 1,
    "jitter": 0,
    "speckle": 0,
    "blur": 0,
}


def views(images: Tensor, seed: int = 0, size: int | None = None, **settings: Any) -> Tensor:
    """Both views of each image, `[2, N, C, H, W]`, with only the given operations."""
    pipeline = create(
        "augmentation",
        "ultrasound",
        image_size=size or images.shape[-1],
        channels=images.shape[1],
        **{**QUIET, **settings},
    )
    torch.manual_seed(seed)
    return torch.stack(pipeline(images).images)


def default_views(images: Tensor, size: int, seed: int = 0) -> Tensor:
    pipeline = create("augmentation", "ultrasound", image_size=size, channels=images.shape[1])
    torch.manual_seed(seed)
    return torch.stack(pipeline(images).images)


def flat(value: float, number: int, size: int = 16) -> Tensor:
    return torch.full((number, 1, size, size), value)


def columns(number: int, size: int) -> Tensor:
    """Images whose value is the column, from 0 to 1."""
    return torch.linspace(0, 1, size).expand(number, 1, size, size).contiguous()


def test_without_operations_images_stay_as_they_are() -> None:
    images = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(views(images), images.expand(2, -1, -1, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_flips_are_left_to_right_and_as_frequent_as_asked(share: float) -> None:
    flipped = views(columns(1500, 8), flip=share)[:, :, 0]
    turned = flipped[..., 0, 0] > flipped[..., 0, -1]
    assert abs(turned.float().mean() - share) < 0.03
    rows = views(columns(300, 8).mT.contiguous(), flip=1.0)
    assert torch.all(rows[..., 0, 0] < rows[..., -1, 0])  # never upside down


def test_tilts_are_uniform_within_their_limit() -> None:
    limit, size = 10.0, 33
    image = columns(1000, size)
    tilted = views(image, rotation=limit)[:, :, 0]
    centre = slice(size // 2 - 4, size // 2 + 5)
    middle = tilted[..., centre, centre]
    across = middle.diff(dim=-1).mean(dim=(-1, -2))
    down = middle.diff(dim=-2).mean(dim=(-1, -2))
    angles = torch.rad2deg(torch.atan2(down, across)).flatten()
    assert angles.abs().max() <= limit + 0.2
    assert abs(angles.mean()) < 0.4
    assert abs(angles.std() - limit / math.sqrt(3)) < 0.3
    assert abs(angles.quantile(0.75) - limit / 2) < 0.6


@pytest.mark.parametrize(("height", "width"), [(24, 24), (20, 31)])
def test_a_tilt_equals_torchvisions(height: int, width: int) -> None:
    images = torch.rand(8, 3, height, width)
    degrees = torch.linspace(-40, 40, 8)
    for image, angle, result in zip(images, degrees, turned(images, degrees), strict=True):
        plain = F.rotate(image, float(angle), interpolation=InterpolationMode.BILINEAR)
        torch.testing.assert_close(result, plain, atol=1e-4, rtol=0)


def test_crop_areas_are_uniform() -> None:
    # Where every box fits, area is U(scale) and log aspect is U(log ratio).
    size = 80
    x = columns(1500, size)
    coordinates = torch.cat([x, x.mT, torch.zeros_like(x)], dim=1)
    # Not antialiased, so that the ends of a view are those of its crop.
    box: dict[str, Any] = {
        "crop_scale": (0.2, 0.5),
        "crop_ratio": (3 / 4, 4 / 3),
        "backend": "kornia",
    }
    view = views(coordinates, size=16, **box)
    extent = view.amax(dim=(-1, -2)) - view.amin(dim=(-1, -2))
    sides = extent.flatten(0, 1)[:, :2] * (size - 1) + 1
    area = sides.prod(dim=1) / size**2
    assert abs(area.mean() - 0.35) < 0.01
    assert abs(area.std() - 0.3 / math.sqrt(12)) < 0.01
    aspect = (sides[:, 0] / sides[:, 1]).log()
    assert abs(aspect.std() - 2 * math.log(4 / 3) / math.sqrt(12)) < 0.01


def test_gray_maps_have_a_log_uniform_exponent() -> None:
    view = views(flat(0.5, 3000, 4), gamma=2.0)[:, :, 0, 0, 0]
    exponent = view.log() / math.log(0.5)
    logs = exponent.log2().flatten()  # uniform in [-1, 1]
    assert logs.abs().max() <= 1 + 1e-5
    assert abs(logs.mean()) < 0.03 and abs(logs.std() - 1 / math.sqrt(3)) < 0.02
    ends = views(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 4, 4), gamma=2.0)
    assert torch.equal(ends[:, 0], torch.zeros(2, 1, 4, 4))
    torch.testing.assert_close(ends[:, 1], torch.ones(2, 1, 4, 4), atol=1e-5, rtol=0)


def test_depth_gain_is_a_line_between_uniform_sliders() -> None:
    strength, sliders, height = 0.3, 4, 31
    view = views(flat(0.5, 6000, height), depth_gain=strength, depth_sliders=sliders)[:, :, 0]
    assert torch.equal(view, view[..., :1].expand_as(view))  # a gain per row
    gain = (view[..., 0] / 0.5 - 1).flatten(0, 1)  # [12000, height]
    at_sliders = gain[:, :: (height - 1) // (sliders - 1)]
    assert at_sliders.abs().max() <= strength + 1e-5
    spread = at_sliders.std(dim=0)
    assert (spread - strength / math.sqrt(3)).abs().max() < 0.008
    independent = torch.corrcoef(at_sliders.T) - torch.eye(sliders)
    assert independent.abs().max() < 0.05
    # Between two sliders it is a straight line.
    torch.testing.assert_close(
        gain[:, 5], (at_sliders[:, 0] + at_sliders[:, 1]) / 2, atol=1e-5, rtol=0
    )


def test_brightness_and_contrast_change_as_often_as_asked() -> None:
    images = torch.rand(600, 1, 8, 8) * 0.4 + 0.3
    view = views(images, jitter=0.8, brightness=0.4, contrast=0.4)
    changed = (view - images).abs().amax(dim=(2, 3, 4)) > 1e-3
    assert abs(changed.float().mean() - 0.8) < 0.04
    bright = views(flat(0.5, 2000, 4), jitter=1.0, brightness=0.4, contrast=0.0)[:, :, 0, 0, 0]
    assert abs(bright.mean() - 0.5) < 0.01
    assert abs(bright.std() - 0.2 / math.sqrt(3)) < 0.005


@pytest.mark.parametrize("size", [0.7, 1.5])
def test_speckle_is_multiplicative_and_correlated(size: float) -> None:
    settings: dict[str, Any] = {
        "speckle": 1.0,
        "speckle_strength": (0.1, 0.1),
        "speckle_size": (size, size),
    }
    for level in (0.2, 0.5):
        noise = views(flat(level, 60, 32), **settings)[:, :, 0] / level - 1
        assert abs(noise.mean()) < 0.005
        assert abs(noise.std() - 0.1) < 0.004
        for distance in (1, 2):
            expected = math.exp(-(distance**2) / (4 * size**2))
            for axis in (-1, -2):
                length = noise.shape[axis] - distance
                a, b = noise.narrow(axis, 0, length), noise.narrow(axis, distance, length)
                assert abs((a * b).mean() / noise.var() - expected) < 0.05


def test_speckle_comes_as_often_and_as_strong_as_asked() -> None:
    view = views(flat(0.5, 1000), speckle=0.3, speckle_strength=(0.05, 0.2))
    spread = (view[:, :, 0] / 0.5).std(dim=(-1, -2)).flatten()
    speckled = spread[spread > 1e-6]
    assert abs(len(speckled) / len(spread) - 0.3) < 0.04
    assert abs(speckled.mean() - 0.125) < 0.008
    assert views(flat(0.0, 4), speckle=1.0).max() == 0  # no signal, no speckle


@pytest.mark.parametrize("side", [32, 64, 224])
def test_blur_is_a_gaussian_that_no_kernel_cuts_off(side: int) -> None:
    share = 0.01
    point = torch.zeros(2, 1, side, side)
    point[:, :, side // 2, side // 2] = 1
    spot = views(point, blur=1.0, blur_sigma=(share, share))[0, 0, 0]
    places = torch.arange(side) - side // 2
    gaussian = torch.exp(-0.5 * (places / (share * side)) ** 2)
    expected = gaussian / gaussian.sum()
    torch.testing.assert_close(spot.sum(dim=0), expected, atol=0.004, rtol=0)


def test_blur_comes_as_often_as_asked() -> None:
    images = torch.rand(600, 1, 32, 32)
    changed = (views(images, blur=0.5, blur_sigma=(0.01, 0.02)) - images).abs().amax(
        dim=(2, 3, 4)
    ) > 1e-5
    assert abs(changed.float().mean() - 0.5) < 0.05


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range_and_sizes_follow(channels: int) -> None:
    images = torch.rand(32, channels, 60, 50)
    images[0], images[1] = 0.0, 1.0
    view = default_views(images, 48)
    assert view.shape == (2, 32, channels, 48, 48) and view.dtype == torch.float32
    assert view.min() >= 0 and view.max() <= 1 and torch.isfinite(view).all()
    assert not torch.equal(view[0], view[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_no_image_influences_another(channels: int) -> None:
    images = torch.rand(16, channels, 40, 40)
    changed = images.clone()
    changed[5] = torch.rand(channels, 40, 40) * 0.1
    before, after = default_views(images, 32), default_views(changed, 32)
    others = torch.arange(16) != 5
    assert torch.equal(before[:, others], after[:, others])
    assert not torch.equal(before[:, 5], after[:, 5])


def test_the_seed_alone_decides_on_every_precision() -> None:
    images = torch.rand(8, 1, 40, 40)
    assert torch.equal(default_views(images, 32, seed=1), default_views(images, 32, seed=1))
    assert not torch.equal(default_views(images, 32, seed=1), default_views(images, 32, seed=2))
    pipeline = create("augmentation", "ultrasound", image_size=32, channels=1).double()
    torch.manual_seed(1)
    double = torch.stack(pipeline(images.double()).images)
    single = default_views(images, 32, seed=1)
    torch.testing.assert_close(double.float(), single, atol=1e-4, rtol=0)


RECIPES = ("simclr", "moco_v1", "moco_v2", "simsiam", "ultrasound")


@pytest.mark.parametrize("name", RECIPES)
def test_gray_images_stay_gray_in_every_recipe(name: str) -> None:
    images = torch.rand(16, 1, 40, 40).expand(-1, 3, -1, -1).contiguous()
    pipeline = create("augmentation", name, image_size=32, channels=3)
    torch.manual_seed(0)
    view = torch.stack(pipeline(images).images)
    torch.testing.assert_close(view[:, :, :1].expand_as(view), view, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_one_channel_has_the_views_of_three_equal_ones(name: str) -> None:
    # Grayscale draws too, and is there for three channels only.
    settings = {} if name == "ultrasound" else {"grayscale": 0.0}
    gray = torch.rand(16, 1, 40, 40)
    found = []
    for channels in (1, 3):
        pipeline = create("augmentation", name, image_size=32, channels=channels, **settings)
        torch.manual_seed(0)
        images = gray.expand(-1, channels, -1, -1).contiguous()
        found.append(torch.stack(pipeline(images).images))
    torch.testing.assert_close(found[1], found[0].expand_as(found[1]), atol=5e-5, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_scale": (0.5, 0.2)},
        {"crop_ratio": (-1, 1)},
        {"speckle_size": (0.5, 40)},
        {"speckle_strength": (0, 0.1)},
        {"blur_sigma": (0.1, 0.5)},
        {"gamma": 0.5},
        {"rotation": 90},
        {"depth_sliders": 1},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.config_model("augmentation", "ultrasound")(**settings)
