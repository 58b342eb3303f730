"""The timm plugin: pyramids against real forwards, weights that plain timm loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ssl_registry import Backbone, ConfigError, registry
from ssl_registry_timm.backbone import feature_levels

SWIN = "swin_tiny_patch4_window7_224"
VIT = "vit_tiny_patch16_224"

MODELS: list[tuple[str, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ("resnet18", {}, (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
    ("resnet50", {}, (64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32)),
    ("resnet18", {"stem": "cifar"}, (64, 128, 256, 512), (1, 2, 4, 8)),
    ("timm", {"model": "convnext_atto"}, (40, 80, 160, 320), (4, 8, 16, 32)),
    ("timm", {"model": "mobilenetv3_small_050"}, (16, 8, 16, 24, 288), (2, 4, 8, 16, 32)),
    ("timm", {"model": SWIN, "options": {"img_size": 64}}, (96, 192, 384, 768), (4, 8, 16, 32)),
    ("timm", {"model": VIT, "options": {"dynamic_img_size": True}}, (192,), (16,)),
]
IDS = [f"{name}-{settings.get('model', settings.get('stem', ''))}" for name, settings, *_ in MODELS]


def build(name: str, in_channels: int = 3, **settings: Any) -> Backbone:
    config = registry.config_model("backbone", name)(**settings)
    backbone: Backbone = registry.factory("backbone", name)(config, in_channels)
    return backbone


@pytest.mark.parametrize(("name", "settings", "channels", "reductions"), MODELS, ids=IDS)
def test_the_pyramid_is_what_a_forward_gives(
    name: str, settings: dict[str, Any], channels: tuple[int, ...], reductions: tuple[int, ...]
) -> None:
    backbone = build(name, **settings)
    assert (backbone.channels, backbone.reductions) == (channels, reductions)
    features = backbone(torch.rand(2, 3, 64, 64))
    assert [tuple(f.shape) for f in features] == [
        (2, c, 64 // r, 64 // r) for c, r in zip(channels, reductions, strict=True)
    ]


@pytest.mark.parametrize(("name", "settings", "channels", "reductions"), MODELS, ids=IDS)
def test_every_trained_parameter_gets_a_gradient(
    name: str, settings: dict[str, Any], channels: tuple[int, ...], reductions: tuple[int, ...]
) -> None:
    backbone = build(name, **settings)
    sum(f.square().sum() for f in backbone(torch.rand(2, 3, 64, 64))).backward()  # type: ignore[union-attr]
    for key, parameter in backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key


@pytest.mark.parametrize("model", ["resnet18", "convnext_atto", SWIN, VIT])
def test_the_last_map_is_timms_own_forward_features(model: str) -> None:
    options = {SWIN: {"img_size": 64}, VIT: {"dynamic_img_size": True}}.get(model, {})
    backbone = build("timm", model=model, options=options).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        last = backbone(images)[-1]
        own: Tensor = backbone.exported().forward_features(images)  # type: ignore[operator]
    if own.ndim == 3:  # tokens, the first of which is the class token
        own = own[:, 1:].transpose(1, 2).reshape(last.shape)
    elif own.shape != last.shape:  # channel-last
        own = own.permute(0, 3, 1, 2)
    torch.testing.assert_close(last, own)


@pytest.mark.parametrize("size", [(50, 50), (97, 65), (100, 33)])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
def test_odd_sizes_round_up(stem: str, size: tuple[int, int]) -> None:
    backbone = build("resnet18", in_channels=1, stem=stem)
    features = backbone(torch.rand(2, 1, *size))
    for feature, reduction in zip(features, backbone.reductions, strict=True):
        assert tuple(feature.shape[-2:]) == tuple(-(-side // reduction) for side in size)


@pytest.mark.parametrize(
    "settings", [{}, {"stem": "cifar"}, {"zero_init_residual": False}], ids=str
)
def test_the_smallest_size_trains_with_two_images(settings: dict[str, Any]) -> None:
    backbone = build("resnet18", **settings)
    assert backbone.training
    side = backbone.minimum_size
    last = backbone(torch.rand(2, 3, side, side))[-1]
    assert last.shape[-2:] == (1, 1)


def test_residual_blocks_start_as_the_identity_unless_told_otherwise() -> None:
    def last_scale(**settings: Any) -> float:
        return float(build("resnet18", **settings).state_dict()["model.layer1.0.bn2.weight"].sum())

    assert last_scale() == 0
    assert last_scale(zero_init_residual=False) == 64


def test_cifar_stem_is_three_by_three_without_pooling() -> None:
    cifar = build("resnet18", stem="cifar", in_channels=1)
    weight = cifar.state_dict()["model.conv1.weight"]
    assert weight.shape == (64, 1, 3, 3)
    # fan-out initialisation: variance 2 / (64 * 9)
    assert abs(float(weight.std()) - (2 / (64 * 9)) ** 0.5) < 0.01
    assert cifar.library_config() == {}


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("resnet18", {}),
        ("timm", {"model": "convnext_atto"}),
        ("timm", {"model": VIT, "options": {"img_size": 64}}),
    ],
    ids=["resnet18", "convnext", "vit"],
)
def test_plain_timm_loads_the_exported_weights(
    name: str, settings: dict[str, Any], in_channels: int, tmp_path: Path
) -> None:
    backbone = build(name, in_channels=in_channels, **settings).eval()
    save_file(backbone.exported().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(backbone.library_config()))
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=0).eval()
    assert loaded.state_dict().keys() == backbone.exported().state_dict().keys()
    images = torch.rand(2, in_channels, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), backbone.exported()(images), rtol=0, atol=0)


def test_an_unknown_model_is_refused_with_near_names() -> None:
    with pytest.raises(ConfigError, match=r"no model 'resnet81'; did you mean .*resnet18"):
        build("timm", model="resnet81")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "resnet18", "options": {"depth": 3}}, "depth"),
        ({"model": "resnet18.no_such_tag"}, "no_such_tag"),
    ],
)
def test_what_timm_refuses_is_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"timm cannot build 'resnet18.*{message}"):
        build("timm", **settings)


def test_a_fixed_image_size_is_explained() -> None:
    backbone = build("timm", model=VIT)
    with pytest.raises(ConfigError, match=r"does not take images of 64x64 px.*backbone\.options"):
        backbone(torch.rand(2, 3, 64, 64))


@pytest.mark.parametrize("model", ["hrnet_w18_small", "dla34"])
def test_sizes_that_do_not_fit_a_model_are_explained(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        backbone = build("timm", model=model)
        with pytest.raises(ConfigError, match=r"does not take images of 50x50 px.*multiple of 32"):
            backbone(torch.rand(2, 3, 50, 50))
        backbone(torch.rand(2, 3, 64, 64))

    def exhausted(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no memory for the shape [9, 9]")

    monkeypatch.setattr(backbone.exported(), "forward_intermediates", exhausted)
    with pytest.raises(torch.OutOfMemoryError):
        backbone(torch.rand(2, 3, 64, 64))


def test_a_model_without_maps_is_refused() -> None:
    with pytest.raises(ConfigError, match="no feature maps"):
        feature_levels(nn.Linear(2, 2))


def test_the_global_random_state_decides_the_weights() -> None:
    torch.manual_seed(3)
    first = build("resnet18", stem="cifar").state_dict()
    torch.manual_seed(3)
    second = build("resnet18", stem="cifar").state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
