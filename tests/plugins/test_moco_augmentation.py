"""The views of MoCo's two versions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ssl_registry import registry
from ssl_registry.augment import Jitter, Operation, TwoViews, contrastive_chain


def operations(name: str, channels: int, **settings: Any) -> list[str]:
    config = registry.config_model("augmentation", name)(backend="kornia", **settings)
    pipeline = registry.factory("augmentation", name)(config, 32, channels)
    return [type(part).__name__.removeprefix("Random") for part in pipeline.chain]


def test_the_views_have_the_order_of_their_version() -> None:
    v1 = ["ResizedCrop", "Grayscale", "Jitter", "HorizontalFlip"]
    v2 = ["ResizedCrop", "Jitter", "Grayscale", "GaussianBlur", "HorizontalFlip"]
    assert operations("moco_v1", 3) == v1
    assert operations("moco_v2", 3) == v2
    assert operations("moco_v1", 1) == [v1[0], *v1[2:]]
    assert operations("moco_v2", 1) == [*v2[:2], *v2[3:]]
    assert operations("moco_v2", 1, blur=0.0, flip=0.0) == v2[:2]


def strengths(name: str, channels: int) -> str:
    config = registry.config_model("augmentation", name)(name=name)
    return repr(registry.factory("augmentation", name)(config, 32, channels))


def test_the_jitter_has_the_strength_of_its_version() -> None:
    base = "brightness=0.4, contrast=0.4, saturation="
    assert f"{base}0.4, hue=0.4, p=1.0" in strengths("moco_v1", 3)
    assert f"{base}0.4, hue=0.1, p=0.8" in strengths("moco_v2", 3)
    assert f"{base}0.0, hue=0.0, p=1.0" in strengths("moco_v1", 1)
    assert f"{base}0.0, hue=0.0, p=0.8" in strengths("moco_v2", 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "order", "jitter", "blur"),
    [
        ("moco_v1", ("grayscale", "jitter", "flip"), Jitter(0.4, 0.4, 0.4, 0.4, 1.0), 0.0),
        ("moco_v2", ("jitter", "grayscale", "blur", "flip"), Jitter(0.4, 0.4, 0.4, 0.1, 0.8), 0.5),
    ],
)
def test_the_views_are_those_of_the_official_chain(
    name: str, order: tuple[Operation, ...], jitter: Jitter, blur: float, channels: int
) -> None:
    config = registry.config_model("augmentation", name)(name=name)
    pipeline = registry.factory("augmentation", name)(config, 32, channels)
    chain = contrastive_chain(
        32,
        channels,
        crop_scale=(0.2, 1.0),
        crop_ratio=(3 / 4, 4 / 3),
        flip=0.5,
        jitter=jitter,
        grayscale=0.2,
        blur=blur,
        blur_sigma=(0.1, 2.0),
        order=order,
    )
    images = torch.rand(6, channels, 40, 40)
    drawn = []
    for views_of in (pipeline, TwoViews(chain)):
        torch.manual_seed(5)
        drawn.append(torch.stack(views_of(images).images))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["moco_v1", "moco_v2"])
def test_views_of_one_and_three_channels(name: str, channels: int) -> None:
    config = registry.config_model("augmentation", name)(name=name)
    pipeline = registry.factory("augmentation", name)(config, 32, channels)
    torch.manual_seed(0)
    views = torch.stack(pipeline(torch.rand(6, channels, 40, 40)).images)
    assert views.shape == (2, 6, channels, 32, 32)
    assert views.min() >= 0 and views.max() <= 1 and not torch.equal(views[0], views[1])


@pytest.mark.parametrize(
    "settings",
    [{"crop_scale": (0.5, 0.2)}, {"crop_ratio": (-1, 1)}, {"hue": 0.6}, {"blur_sigma": (0, 1)}],
    ids=str,
)
@pytest.mark.parametrize("name", ["moco_v1", "moco_v2", "simsiam"])
def test_impossible_augmentations_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        registry.config_model("augmentation", name)(**settings)


def test_the_default_augmentation_is_of_this_plugin() -> None:
    name = registry.config_model("method", "moco").default_augmentation  # type: ignore[attr-defined]
    assert registry.find("augmentation", name).plugin.name == "moco"
