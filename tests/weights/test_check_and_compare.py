"""Checking a folder, and comparing two."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssl_registry.weights.check import check_folder
from ssl_registry.weights.compare import compare, group_of
from ssl_registry.weights.export import export_weights
from ssl_registry.weights.read import read_weights


def states(folder: Path) -> dict[str, str]:
    """The worst state of each subject."""
    order = ("ok", "note", "wrong")
    found: dict[str, str] = {}
    for finding in check_folder(folder):
        found[finding.subject] = max(
            found.get(finding.subject, "ok"), finding.state, key=order.index
        )
    return found


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Change the tensors behind the card's back, but for the file's digest."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    change(folder, sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())


def change(folder: Path, **fields: Any) -> None:
    file = folder / "ssl_registry.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


DECODER = {"name": "unet", "widths": [8, 4]}
ENCODER = {"name": "unet_encoder", "widths": [4, 8, 16]}


@pytest.mark.parametrize("outputs", [0, 1])
def test_a_whole_folder_is_whole(make: Any, outputs: int) -> None:
    assert states(make(ENCODER, DECODER, outputs=outputs).folder) == {
        "card": "ok",
        "file": "ok",
        "content": "ok",
        "loads": "ok",
        "licence": "note",
        "data": "ok",
    }


def test_what_is_wrong_with_an_encoder_is_found(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    export_weights(made.folder, "timm", tmp_path / "out", licence="MIT")
    folder = tmp_path / "out"
    assert set(states(folder).values()) == {"ok"}
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["mean"] = [0.5]
    (folder / "config.json").write_text(json.dumps(config))
    assert states(folder)["config.json"] == "wrong"
    tensors = load_file(folder / "model.safetensors")
    tensors["bn1.bias"] += 1e-3
    rewrite(folder, tensors)
    assert (states(folder)["file"], states(folder)["content"]) == ("ok", "wrong")
    rewrite(folder, {name: t for name, t in tensors.items() if name != "bn1.bias"})
    assert states(folder)["loads"] == "wrong"
    rewrite(folder, {**tensors, "bn1.bias": tensors["bn1.bias"] * math.nan})
    assert states(folder)["tensors"] == "wrong"
    change(folder, sha256="0" * 64)
    assert states(folder) == {"card": "ok", "file": "wrong", "licence": "ok", "data": "ok"}
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"pretraining": deep}
    change(folder, run=deep)
    assert states(folder) == {"card": "wrong"}
    change(folder, run={"data": 3})
    assert states(folder)["data"] == "wrong"
    (folder / "ssl_registry.json").unlink()
    assert states(folder) == {"card": "wrong"}


def test_config_json_may_leave_out_how_images_are_resized(make: Any) -> None:
    folder = make("resnet18").folder
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config["pretrained_cfg"]["crop_pct"] = 0.875
    file.write_text(json.dumps(config))
    assert states(folder)["config.json"] == "wrong"
    # As written before it was told.
    for key in ("interpolation", "crop_pct", "crop_mode"):
        del config["pretrained_cfg"][key]
    file.write_text(json.dumps(config))
    assert states(folder)["config.json"] == "ok"


def test_what_is_laid_out_for_others_is_not_loaded(make: Any, tmp_path: Path) -> None:
    made = make("resnet18", record={"gray": True, "data": []})
    export_weights(made.folder, "torchvision", tmp_path / "out", licence="MIT")
    found = states(tmp_path / "out")
    assert (found["loads"], found["content"], found["data"]) == ("note", "ok", "note")


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("backbone.conv1.weight", "backbone.conv1"),
        ("backbone.layer1.0.conv1.weight", "backbone.layer1"),
        ("backbone.stages.0.blocks.1.norm.weight", "backbone.stages.0"),
        ("backbone.levels.10.0.weight", "backbone.levels.10"),
        ("decoder.steps.2.conv.0.bias", "decoder.steps.2"),
        ("backbone.cls_token", "backbone"),
        ("head.weight", "head"),
        ("weight", "weight"),
    ],
)
def test_groups(name: str, group: str) -> None:
    assert group_of(name) == group


def test_equal_weights_are_the_same(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    export_weights(made.folder, "timm", tmp_path / "out", licence="MIT")
    result = compare(read_weights(made.folder), read_weights(tmp_path / "out"))
    assert result.same
    assert (result.only_first, result.only_second, result.shapes) == ((), (), ())
    assert {(group.difference, round(group.cosine or 0, 12)) for group in result.groups} == {(0, 1)}
    assert result.settings == (("licence", "None", "MIT"),)


def test_an_encoder_is_compared_with_the_backbone_of_a_network(make: Any) -> None:
    encoder = make(ENCODER)
    network = make(ENCODER, DECODER, outputs=1, name="network")
    tensors = load_file(encoder.folder / "model.safetensors")
    first = read_weights(network.folder)
    # A hand-computed truth for the first level.
    level = [
        name
        for name, t in tensors.items()
        if name.startswith("levels.0.") and t.is_floating_point()
    ]
    ours = torch.cat([tensors[name].reshape(-1).double() for name in level])
    theirs = torch.cat([first.tensors[f"backbone.{name}"].reshape(-1).double() for name in level])
    result = compare(read_weights(encoder.folder), first)
    (group,) = [group for group in result.groups if group.name == "backbone.levels.0"]
    assert group.tensors == len(level)
    assert group.difference == (ours - theirs).abs().max().item() > 0
    expected = torch.nn.functional.cosine_similarity(ours, theirs, dim=0).item()
    assert group.cosine == pytest.approx(expected, abs=1e-12)
    assert not result.same and result.only_first == ()
    assert {name.partition(".")[0] for name in result.only_second} == {"decoder", "head"}
    keys = {key for key, *_ in result.settings}
    assert {"content", "classes", "decoder.name"} <= keys and "backbone.name" not in keys


def test_other_shapes_are_listed(make: Any) -> None:
    gray, colour = make("resnet18"), make("resnet18", channels=3, name="colour")
    result = compare(read_weights(gray.folder), read_weights(colour.folder))
    assert result.shapes == (("backbone.conv1.weight", (64, 1, 7, 7), (64, 3, 7, 7)),)
    assert "backbone.conv1" not in {group.name for group in result.groups}
