"""Encoders and whole networks exported to segmentation-models-pytorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ssl_registry.errors import WeightsError
from ssl_registry.weights.export import export_weights
from ssl_registry.weights.targets.contract import ExportOptions

pytestmark = pytest.mark.parity

CONVNEXT = {"name": "timm", "model": "convnext_atto"}
EFFICIENTNET = {"name": "timm", "model": "efficientnet_b0"}
NARROW = {"name": "smp_unet", "widths": [16, 8, 8, 4, 4]}


@pytest.fixture
def smp() -> Any:
    return pytest.importorskip("segmentation_models_pytorch", reason="needs the smp extra")


def export(made: Any, out: Path, **options: Any) -> Any:
    return export_weights(
        made.folder, "smp", out, licence="CC-BY-4.0", options=ExportOptions(**options)
    )


@pytest.mark.parametrize(
    ("backbone", "architecture", "channels", "name"),
    [
        ("resnet18", None, 1, "resnet18"),
        ("resnet18", "tu-resnet18", 3, "tu-resnet18"),
        ("resnet50", None, 3, "resnet50"),
        (CONVNEXT, None, 1, "tu-convnext_atto"),
        (EFFICIENTNET, None, 3, "tu-efficientnet_b0"),
    ],
)
def test_smps_unet_takes_the_encoder(
    smp: Any, make: Any, tmp_path: Path, backbone: Any, architecture: Any, channels: int, name: str
) -> None:
    made = make(backbone, channels=channels, size=64)
    out = tmp_path / "out"
    card = export(made, out, architecture=architecture)
    assert (card.library, card.architecture) == ("segmentation-models-pytorch", name)
    settings = json.loads((out / "config.json").read_text())
    model = smp.Unet(**settings, classes=1).eval()
    # Its own strict loading: every tensor finds its place.
    model.encoder.load_state_dict(load_file(out / "model.safetensors"))
    with torch.inference_mode():
        maps = [level for level in model.encoder(made.images())[1:] if level.shape[1]]
    ours = made.outputs()
    assert len(maps) == len(ours)
    assert all(map(torch.equal, maps, ours))


@pytest.mark.parametrize("name", [None, "tu-resnet18"])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (3, 3)])
def test_smp_builds_the_whole_network(
    smp: Any, make: Any, tmp_path: Path, name: str | None, channels: int, outputs: int
) -> None:
    made = make("resnet18", NARROW, channels=channels, outputs=outputs, size=64)
    card = export(made, tmp_path / "out", architecture=name)
    assert (card.content, card.architecture) == ("segmentation", f"Unet {name or 'resnet18'}")
    theirs = smp.from_pretrained(str(tmp_path / "out")).eval()
    with torch.inference_mode():
        assert torch.equal(theirs(made.images()), made.outputs())
        odd = torch.rand(1, channels, 50, 70)
        assert torch.equal(theirs(odd), made.module(odd))


def test_a_network_over_a_convnext_is_the_same_up_to_rounding(
    smp: Any, make: Any, tmp_path: Path
) -> None:
    made = make(CONVNEXT, NARROW, outputs=1, size=64)
    export(made, tmp_path / "out")
    theirs = smp.from_pretrained(str(tmp_path / "out")).eval()
    with torch.inference_mode():
        torch.testing.assert_close(theirs(made.images()), made.outputs(), rtol=1e-5, atol=1e-6)


def test_the_decoder_is_that_of_smp(smp: Any, make: Any) -> None:
    made = make("resnet18", "smp_unet", outputs=1)
    counted = sum(parameter.numel() for parameter in made.module.parameters())
    theirs = smp.Unet("resnet18", encoder_weights=None, in_channels=1)
    assert counted == sum(parameter.numel() for parameter in theirs.parameters()) == 14_321_937


def test_another_decoder_is_no_network_of_smp(smp: Any, make: Any, tmp_path: Path) -> None:
    decoder = {"name": "unet", "widths": [8, 8, 4, 4, 4]}
    made = make("resnet18", decoder, outputs=1)
    with pytest.raises(WeightsError, match=r"no network with the decoder 'unet'.*--part encoder"):
        export(made, tmp_path / "out")
    export(made, tmp_path / "out", part="encoder")
    names = set(load_file(tmp_path / "out/model.safetensors"))
    assert names == set(made.module.backbone.exported().state_dict())


@pytest.mark.parametrize(
    ("backbone", "architecture", "message"),
    [
        (
            "resnet18",
            "tu-resnet50",
            "another network than resnet18; give .*resnet18 or tu-resnet18",
        ),
        ({"name": "unet_encoder", "widths": [4, 8]}, None, "is no network of timm"),
        (
            {"name": "timm", "model": "vit_tiny_patch16_224", "options": {"img_size": 32}},
            None,
            "cannot build its Unet with tu-vit_tiny",
        ),
    ],
)
def test_what_smp_has_not_is_refused(
    smp: Any, make: Any, tmp_path: Path, backbone: Any, architecture: Any, message: str
) -> None:
    made = make(backbone)
    with pytest.raises(WeightsError, match=message):
        export(made, tmp_path / "out", architecture=architecture)
    assert not (tmp_path / "out").exists()
