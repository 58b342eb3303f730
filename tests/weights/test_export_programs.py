"""ONNX and torch.export: the recorded network gives what the network gives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_registry.errors import WeightsError
from ssl_registry.nn.normalization import Normalize
from ssl_registry.weights.card import read_card
from ssl_registry.weights.export import export_weights
from ssl_registry.weights.read import read_weights
from ssl_registry.weights.targets.contract import ExportOptions

ENCODER = {"name": "unet_encoder", "widths": [4, 8, 16]}
DECODER = {"name": "unet", "widths": [8, 4]}


def export(made: Any, target: str, out: Path, **options: Any) -> Any:
    return export_weights(
        made.folder, target, out, licence="CC-BY-4.0", options=ExportOptions(**options)
    )


def run_onnx(folder: Path, images: Tensor) -> list[Tensor]:
    runtime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
    file = str(folder / "model.onnx")
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(output) for output in session.run(None, {"images": images.numpy()})]


def run_program(folder: Path, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return list(torch.export.load(folder / "model.pt2").module()(images))


def images_of(count: int, channels: int, size: int) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(9))


def test_onnx_gives_the_same_logits_for_any_number_of_images(make: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the onnx extra")
    onnx = pytest.importorskip("onnx", reason="needs the onnx extra")
    made = make(ENCODER, DECODER, outputs=3)
    card = export(made, "onnx", tmp_path / "out")
    assert (card.file, card.target, card.library) == ("model.onnx", "onnx", "onnx")
    for count in (1, 2, 5):
        (logits,) = run_onnx(tmp_path / "out", made.images(count))
        torch.testing.assert_close(logits, made.outputs(count), rtol=1e-4, atol=1e-5)
    model = onnx.load(tmp_path / "out/model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 18
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["digest"] == read_card(made.folder).digest
    assert facts["licence"] == "CC-BY-4.0"
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config == facts | {"outputs": ["logits"], "image_size": 32}


def test_torch_export_gives_the_very_logits_for_any_number_of_images(
    make: Any, tmp_path: Path
) -> None:
    made = make(ENCODER, DECODER, outputs=1, channels=3)
    export(made, "torch-export", tmp_path / "out")
    for count in (1, 2, 5):
        (logits,) = run_program(tmp_path / "out", made.images(count))
        assert torch.equal(logits, made.outputs(count))
    with zipfile.ZipFile(tmp_path / "out/model.pt2") as archive:
        config = json.loads(archive.read("model/data/weights/model_weights_config.json"))["config"]
    # Plain bytes, all of them: none of the tensors is unpickled by whoever loads the file.
    assert config and not any(entry["use_pickle"] for entry in config.values())


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (1, {"classes": "lesion", "output_channels": "lesion"}),
        (3, {"classes": "c1,c2", "output_channels": "background,c1,c2"}),
    ],
)
def test_each_output_channel_is_named(
    make: Any, tmp_path: Path, outputs: int, told: dict[str, str]
) -> None:
    made = make(ENCODER, DECODER, outputs=outputs)
    export(made, "torch-export", tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    told = told | {"exclusive": "true", "threshold": "0.5"}
    assert {name: config.get(name) for name in told} == told
    (logits,) = run_program(tmp_path / "out", made.images())
    assert len(config["output_channels"].split(",")) == logits.shape[1]
    export(made, "torch-export", tmp_path / "encoder", part="encoder")
    config = json.loads((tmp_path / "encoder/config.json").read_text())
    assert config.keys().isdisjoint(told)


def test_normalisation_and_size_are_chosen(make: Any, tmp_path: Path) -> None:
    made = make(ENCODER, DECODER, outputs=1)
    card = export(made, "torch-export", tmp_path / "out", with_normalization=True, image_size=50)
    assert card.image_size == 50
    # The program normalises: whoever trusts the card must not do it again.
    assert (card.mean, card.std) == ((0.0,), (1.0,))
    source = read_card(made.folder)
    images = images_of(2, 1, 50)
    (logits,) = run_program(tmp_path / "out", images)
    with torch.inference_mode():
        assert torch.equal(logits, made.module(Normalize(source.mean, source.std)(images)))
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["images"], config["image_size"]) == ("in [0, 1]", 50)
    page = (tmp_path / "out/README.md").read_text()
    assert "float32 [N, 1, 50, 50], in [0, 1]" in page
    assert (
        "12 steps of training. The program takes 50x50 px images with 1 channels, in [0, 1]."
        in page
    )
    export(made, "torch-export", tmp_path / "plain")
    takes = "The program takes 32x32 px images with 1 channels, normalised with mean [0."
    assert takes in (tmp_path / "plain/README.md").read_text()


def test_an_encoder_gives_its_pyramid(make: Any, tmp_path: Path) -> None:
    made = make(ENCODER, DECODER)
    card = export(made, "torch-export", tmp_path / "out")
    assert (card.content, card.decoder) == ("encoder", None)
    assert all(map(torch.equal, run_program(tmp_path / "out", made.images()), made.outputs()))
    names = json.loads((tmp_path / "out/config.json").read_text())["outputs"]
    assert names == ["features_1", "features_2", "features_4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 1}, "takes no images of 1x1 px"),
        ({"image_size": 10**6}, "the side is 2048 px at most"),
        ({"architecture": "x"}, "--architecture means nothing for torch-export"),
        ({"part": "network"}, "no segmentation network; fine-tune it first"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    make: Any, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    made = make(ENCODER, DECODER, outputs=0 if "part" in options else 1)
    with pytest.raises(WeightsError, match=message):
        export(made, "torch-export", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_program_is_not_read_as_weights(make: Any, tmp_path: Path) -> None:
    export(make(ENCODER, DECODER, outputs=1), "torch-export", tmp_path / "out")
    with pytest.raises(WeightsError, match=r"was exported for torch-export .* use the folder it"):
        read_weights(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["torch-export", "onnx"])
@pytest.mark.parametrize(
    ("backbone", "decoder"),
    [
        ("unet_encoder", "unetplusplus"),
        ("unet_encoder", "attention_unet"),
        ("unet_encoder", "unet3plus"),
        ("residual_encoder", "residual_unet"),
        ("r2_encoder", "r2unet"),
        ("multires_encoder", "multiresunet"),
        ("sk_encoder", "sk_unet"),
        ("unext_encoder", "unext"),
        ("resnet18", "smp_unet"),
    ],
)
def test_every_published_network_is_recorded(
    make: Any, tmp_path: Path, backbone: str, decoder: str, target: str
) -> None:
    made = make(backbone, decoder, outputs=1, size=64)
    export(made, target, tmp_path / "out")
    run = run_onnx if target == "onnx" else run_program
    (logits,) = run(tmp_path / "out", made.images())
    expected = made.outputs()
    assert np.abs((logits - expected).numpy()).max() <= 1e-4 * max(1, expected.abs().max())
