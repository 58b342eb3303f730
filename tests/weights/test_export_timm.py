"""Encoders exported to timm, loaded by plain timm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image as PillowImage
from safetensors.torch import load_file

from ssl_registry.data.resize import shrink_image
from ssl_registry.errors import WeightsError
from ssl_registry.nn.normalization import Normalize
from ssl_registry.weights.card import read_card
from ssl_registry.weights.export import export_weights
from ssl_registry.weights.networks import load_backbone
from ssl_registry.weights.targets.contract import ExportOptions

VIT = {"name": "timm", "model": "vit_tiny_patch16_224", "options": {"img_size": 64}}
CONVNEXT = {"name": "timm", "model": "convnext_atto"}
EFFICIENTNET = {"name": "timm", "model": "efficientnet_b0"}


def exported(made: Any, out: Path) -> str:
    export_weights(made.folder, "timm", out, licence="CC-BY-4.0")
    return f"local-dir:{out}"


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [("resnet18", 1), ("resnet18", 3), (CONVNEXT, 1), (VIT, 1), (VIT, 3), (EFFICIENTNET, 3)],
    ids=str,
)
def test_plain_timm_gives_the_same_features(
    make: Any, tmp_path: Path, backbone: Any, channels: int
) -> None:
    made = make(backbone, channels=channels, size=64)
    place = exported(made, tmp_path / "for timm")
    images, model = made.images(), made.module.backbone.exported()
    for settings in ({}, {"num_classes": 0}, {"num_classes": 3}):
        theirs = timm.create_model(place, pretrained=True, **settings).eval()
        with torch.inference_mode():
            assert torch.equal(theirs.forward_features(images), model.forward_features(images))
            if settings.get("num_classes") == 3:
                assert theirs(images).shape == (2, 3)
            else:
                assert torch.equal(theirs(images), model(images))
    preprocessing = timm.data.resolve_model_data_config(theirs)
    assert tuple(preprocessing["input_size"]) == (channels, 64, 64)
    card = json.loads((tmp_path / "for timm/ssl_registry.json").read_text())
    assert [card["mean"], card["std"]] == [list(preprocessing[key]) for key in ("mean", "std")]


@pytest.mark.parametrize("channels", [1, 3])
def test_timm_prepares_images_as_in_training(make: Any, tmp_path: Path, channels: int) -> None:
    place = exported(make("resnet18", channels=channels, size=64), tmp_path / "out")
    settings = timm.data.resolve_model_data_config(timm.create_model(place, pretrained=True))
    shape = (90, 161) if channels == 1 else (90, 161, 3)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    theirs = timm.data.create_transform(**settings)(PillowImage.fromarray(image))
    stored = torch.from_numpy(np.array(shrink_image(image, 64, channels)))[None].float() / 255
    card = read_card(tmp_path / "out")
    ours = Normalize(card.mean, card.std)(stored)[0]
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


def test_what_is_not_known_of_imported_weights_is_left_to_timm(make: Any, tmp_path: Path) -> None:
    record = {"data": [], "gray": True, "origin": {"file": "timm:resnet18.a1_in1k"}}
    exported(make("resnet18", record=record), tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())["pretrained_cfg"]
    assert config["input_size"] == [1, 32, 32]
    assert config.keys().isdisjoint({"interpolation", "crop_pct", "crop_mode"})


@pytest.mark.parametrize(
    ("backbone", "channels"), [("resnet18", 1), ("resnet18", 3), (CONVNEXT, 3), (EFFICIENTNET, 1)]
)
def test_features_only_gives_the_same_pyramid(
    make: Any, tmp_path: Path, backbone: Any, channels: int
) -> None:
    made = make(backbone, channels=channels, size=64)
    place = exported(made, tmp_path / "out")
    theirs = timm.create_model(place, pretrained=True, features_only=True).eval()
    with torch.inference_mode():
        pairs = zip(theirs(made.images()), made.outputs(), strict=True)
        assert all(torch.equal(their, our) for their, our in pairs)


@pytest.mark.parametrize("outputs", [0, 1])
def test_the_encoder_of_a_larger_network_is_taken_out(
    make: Any, tmp_path: Path, outputs: int
) -> None:
    decoder = {"name": "unet", "widths": [8, 8, 4, 4, 4]}
    made = make("resnet18", decoder, outputs=outputs, channels=3)
    place = exported(made, tmp_path / "out")
    theirs = timm.create_model(place, pretrained=True, features_only=True).eval()
    with torch.inference_mode():
        expected = made.module.backbone(made.images())
        assert all(map(torch.equal, theirs(made.images()), expected))
    backbone, card = load_backbone(tmp_path / "out")
    assert (card.content, card.decoder, card.classes) == ("encoder", None, ())
    own = made.module.backbone.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in backbone.state_dict().items())


def test_an_encoder_keeps_its_bytes(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    exported(made, tmp_path / "out")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (made.folder / name).read_bytes()
    assert load_file(tmp_path / "out/model.safetensors").keys() == (
        timm.create_model("resnet18", num_classes=0).state_dict().keys()
    )


@pytest.mark.parametrize(
    ("backbone", "options", "message"),
    [
        ({"name": "unet_encoder", "widths": [4, 8]}, {}, "'unet_encoder' .* is no network of timm"),
        ({"name": "resnet18", "stem": "cifar"}, {}, "is no network of timm"),
        ("resnet18", {"part": "network"}, "timm has no segmentation networks"),
        ("resnet18", {"with_normalization": True}, "--with-normalization means nothing for timm"),
    ],
)
def test_what_timm_cannot_build_is_refused(
    make: Any, tmp_path: Path, backbone: Any, options: dict[str, Any], message: str
) -> None:
    made = make(backbone)
    with pytest.raises(WeightsError, match=message):
        export_weights(
            made.folder,
            "timm",
            tmp_path / "out",
            licence="CC-BY-4.0",
            options=ExportOptions(**options),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
