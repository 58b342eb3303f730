from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import safetensors
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import apply_overrides, validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.errors import WeightsError
from ssl_registry.nn import SegmentationNetwork, Trunk
from ssl_registry.weights.networks import load_backbone, load_network
from ssl_registry.weights.read import load_weights, read_weights
from ssl_registry.weights.write import write_network, write_trunk

RECORD = {"id": "0123456789ab", "gray": True, "data": [{
    "name": "busi", "organ": "breast", "modality": "ultrasound", "licence": "CC BY 4.0",
    "citation": "Al-Dhabyani 2020",
}]}  # fmt: skip
SUMMARY = {"steps": 12}

Module = TypeVar("Module", bound=nn.Module)


@pytest.fixture
def resnet_table(pretrain_table: dict[str, Any]) -> dict[str, Any]:
    return {**pretrain_table, "backbone": {"name": "resnet18"}, "channels": 3}


def pretraining(table: dict[str, Any], *overrides: str) -> PretrainConfig:
    return validate(PretrainConfig, apply_overrides(table, overrides), "test")


def finetuning(table: dict[str, Any], *overrides: str) -> FinetuneConfig:
    return validate(FinetuneConfig, apply_overrides(table, overrides), "test")


def trunk_of(config: PretrainConfig) -> Trunk:
    backbone = build_backbone(config.backbone, config.channels)
    decoder = build_decoder(config.decoder, backbone) if config.decoder else None
    return shaken(Trunk(backbone, decoder))


def network_of(config: FinetuneConfig, outputs: int = 1) -> SegmentationNetwork:
    backbone = build_backbone(config.backbone, config.channels)
    return shaken(SegmentationNetwork(backbone, build_decoder(config.decoder, backbone), outputs))


def shaken(module: Module) -> Module:
    """Give every tensor, buffers too, values that no fresh module has."""
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value) * 0.01)
            else:
                value.fill_(7)
    return module.eval()


def images(channels: int) -> Tensor:
    return torch.rand(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))


def states_equal(a: nn.Module, b: nn.Module) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[k], other[k]) for k in mine)


@pytest.mark.parametrize("channels", [1, 3])
def test_plain_timm_loads_an_encoder_with_the_same_features(
    resnet_table: dict[str, Any], tmp_path: Path, channels: int
) -> None:
    config = pretraining(resnet_table, f"channels={channels}")
    trunk = trunk_of(config)
    write_trunk(tmp_path / "weights", trunk, config, RECORD, SUMMARY)
    theirs = timm.create_model(
        f"local-dir:{tmp_path / 'weights'}", pretrained=True, num_classes=0
    ).eval()
    with torch.inference_mode():
        assert torch.equal(theirs(images(channels)), trunk.embed(images(channels)))
    preprocessing = timm.data.resolve_model_data_config(theirs)
    mean, std = config.normalization.for_channels(channels)
    assert tuple(preprocessing["input_size"]) == (channels, 32, 32)
    assert (tuple(preprocessing["mean"]), tuple(preprocessing["std"])) == (mean, std)


def test_an_encoder_comes_back_whole(resnet_table: dict[str, Any], tmp_path: Path) -> None:
    config = pretraining(resnet_table)
    trunk = trunk_of(config)
    write_trunk(tmp_path / "weights", trunk, config, RECORD, SUMMARY)
    backbone, card = load_backbone(tmp_path / "weights")
    assert states_equal(backbone, trunk.backbone)
    assert not backbone.training
    assert (card.content, card.decoder, card.channels) == ("encoder", None, 3)
    assert card.run["id"] == RECORD["id"]
    fresh = trunk_of(config)
    report = load_weights(fresh, tmp_path / "weights", "encoder")
    assert states_equal(fresh, trunk)
    assert len(report.loaded) == len(trunk.backbone.exported().state_dict())
    assert report.fits


DECODER = 'decoder={name="unet",widths=[8,4]}'


def test_encoder_and_decoder_come_back_whole(
    pretrain_table: dict[str, Any], finetune_table: dict[str, Any], tmp_path: Path
) -> None:
    config = pretraining(pretrain_table, DECODER)
    trunk = trunk_of(config)
    write_trunk(tmp_path / "weights", trunk, config, RECORD, SUMMARY)
    assert not (tmp_path / "weights" / "config.json").exists()

    network = network_of(finetuning(finetune_table))
    head = network.head.weight.clone()
    report = load_weights(network, tmp_path / "weights", "encoder_decoder")
    assert states_equal(network.backbone, trunk.backbone)
    assert states_equal(network.decoder, trunk.decoder or nn.Identity())
    assert torch.equal(network.head.weight, head)
    assert {name.partition(".")[0] for name in report.loaded} == {"backbone", "decoder"}

    encoder_only = network_of(finetuning(finetune_table))
    decoder = {k: v.clone() for k, v in encoder_only.decoder.state_dict().items()}
    load_weights(encoder_only, tmp_path / "weights", "encoder")
    assert states_equal(encoder_only.backbone, trunk.backbone)
    assert all(torch.equal(v, decoder[k]) for k, v in encoder_only.decoder.state_dict().items())


@pytest.mark.parametrize(
    ("classes", "exclusive", "outputs"),
    [(("lesion",), True, 1), (("a", "b"), True, 3), (("a", "b"), False, 2)],
)
def test_a_network_comes_back_with_the_same_logits(
    finetune_table: dict[str, Any],
    tmp_path: Path,
    classes: tuple[str, ...],
    exclusive: bool,
    outputs: int,
) -> None:
    config = finetuning(finetune_table, "threshold=0.3")
    network = network_of(config, outputs)
    folder = tmp_path / "weights"
    write_network(folder, network, config, classes, exclusive, RECORD, SUMMARY)
    loaded, card = load_network(folder)
    assert (card.classes, card.exclusive, card.threshold) == (classes, exclusive, 0.3)
    assert not loaded.training
    with torch.inference_mode():
        assert torch.equal(loaded(images(1)), network(images(1)))


@pytest.fixture
def encoder(resnet_table: dict[str, Any], tmp_path: Path) -> Path:
    config = pretraining(resnet_table)
    write_trunk(tmp_path / "encoder", trunk_of(config), config, RECORD, SUMMARY)
    return tmp_path / "encoder"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("backbone=resnet50",), r"backbone resnet18.*missing.*Nothing was loaded"),
        (('backbone={name="resnet18",stem="cifar"}',), "mismatched .*64x3x7x7 for 64x3x3x3"),
        (("backbone=unet_encoder",), r"0 tensors fit; \d+ missing .*; \d+ unexpected"),
    ],
)
def test_weights_of_another_network_are_refused_and_nothing_is_loaded(
    encoder: Path, resnet_table: dict[str, Any], overrides: tuple[str, ...], message: str
) -> None:
    del resnet_table["backbone"]
    trunk = trunk_of(pretraining(resnet_table, "backbone=resnet18", *overrides))
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_weights(trunk, encoder, "encoder")
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())


def test_a_worker_reads_weights_once_and_training_does_not_touch_them(
    encoder: Path, resnet_table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_registry.kept._kinds", {})
    first, second = (trunk_of(pretraining(resnet_table)) for _ in range(2))
    load_weights(first, encoder, "encoder")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(2)
    monkeypatch.setattr("ssl_registry.weights.read.load_file", None)  # it is not called again
    load_weights(second, encoder, "encoder")
    fresh = load_file(encoder / "model.safetensors")
    for name, value in second.backbone.exported().state_dict().items():
        assert torch.equal(value, fresh[name])


def test_a_gray_network_takes_the_weights_of_a_colour_one(
    encoder: Path, resnet_table: dict[str, Any]
) -> None:
    given = load_file(encoder / "model.safetensors")
    trunk = trunk_of(pretraining(resnet_table, "channels=1"))
    report = load_weights(trunk, encoder, "encoder")
    assert report.adapted == ("backbone.conv1.weight from 3 to 1 channels",)
    own = trunk.backbone.exported().state_dict()
    assert torch.equal(own.pop("conv1.weight"), given.pop("conv1.weight").sum(1, keepdim=True))
    assert all(torch.equal(value, given[name]) for name, value in own.items())


def test_what_may_be_missing_keeps_its_values(encoder: Path, resnet_table: dict[str, Any]) -> None:
    file = encoder / "model.safetensors"
    # Older releases of safetensors map the file, which is written anew below.
    tensors = {name: value.clone() for name, value in load_file(file).items()}
    kept = {name: value for name, value in tensors.items() if not name.startswith("layer4")}
    save_file(kept, file, metadata={"format": "pt"})
    card = json.loads((encoder / "ssl_registry.json").read_text())
    card["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (encoder / "ssl_registry.json").write_text(json.dumps(card))
    trunk = trunk_of(pretraining(resnet_table))
    with pytest.raises(WeightsError, match=r"missing \(backbone\.layer4"):
        load_weights(trunk, encoder, "encoder")
    before = {name: value.clone() for name, value in trunk.backbone.exported().state_dict().items()}
    load_weights(trunk, encoder, "encoder", allow_missing=["backbone.layer4.*"])
    after = trunk.backbone.exported().state_dict()
    for name, value in after.items():
        expected = before[name] if name.startswith("layer4") else tensors[name]
        assert torch.equal(value, expected), name


def test_an_encoder_has_no_decoder_to_give(encoder: Path, finetune_table: dict[str, Any]) -> None:
    network = network_of(finetuning(finetune_table))
    with pytest.raises(WeightsError, match="holds an encoder only"):
        load_weights(network, encoder, "encoder_decoder")
    with pytest.raises(WeightsError, match="no segmentation network; fine-tune it first"):
        load_network(encoder)


def text_file(folder: Path) -> None:
    (folder / "model.safetensors").write_text("these are not the weights you are looking for")


def truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def flipped_bit(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)


def damaged_card(folder: Path) -> None:
    file = folder / "ssl_registry.json"
    file.write_text(file.read_text()[:200])


def wrong_card(folder: Path) -> None:
    (folder / "ssl_registry.json").write_text('{"content": "a poem", "channels": 2}')


def list_card(folder: Path) -> None:
    (folder / "ssl_registry.json").write_text("[]")


def no_card(folder: Path) -> None:
    (folder / "ssl_registry.json").unlink()


def no_tensors(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (text_file, r"model\.safetensors is no safetensors file, or is damaged"),
        (truncated, r"model\.safetensors is no safetensors file, or is damaged"),
        (flipped_bit, "not the file its card describes"),
        (damaged_card, r"ssl_registry\.json is damaged"),
        (wrong_card, r"ssl_registry\.json is damaged"),
        (list_card, r"ssl_registry\.json is damaged"),
        (no_card, r"holds no ssl_registry\.json"),
        (no_tensors, r"holds no model\.safetensors"),
        (shutil.rmtree, "is no folder of weights; give the folder that holds"),
    ],
)
def test_damage_is_named(encoder: Path, damage: Any, message: str) -> None:
    damage(encoder)
    with pytest.raises(WeightsError, match=message) as caught:
        read_weights(encoder)
    assert str(encoder) in str(caught.value)


def test_a_damaged_card_is_described_in_one_line(encoder: Path) -> None:
    for damage, expected in (
        (wrong_card, ("content: must be", "channels: must be", "backbone: is missing")),
        (list_card, ("must be a table",)),
    ):
        damage(encoder)
        with pytest.raises(WeightsError) as caught:
            read_weights(encoder)
        message = str(caught.value)
        assert all(words in message for words in expected)
        assert "\n" not in message and "http" not in message


def test_the_run_folder_given_in_place_of_its_weights(finetuned: Path) -> None:
    with pytest.raises(WeightsError, match="did you mean its subfolder weights"):
        read_weights(finetuned)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_weights_are_not_saved(
    resnet_table: dict[str, Any], tmp_path: Path, value: float
) -> None:
    config = pretraining(resnet_table)
    trunk = trunk_of(config)
    write_trunk(tmp_path / "weights", trunk, config, RECORD, SUMMARY)
    before = (tmp_path / "weights" / "model.safetensors").read_bytes()
    trunk.state_dict()["backbone.model.layer1.0.bn1.running_var"][3] = value
    with pytest.raises(WeightsError, match=r"non-finite numbers in layer1\.0\.bn1\.running_var"):
        write_trunk(tmp_path / "weights", trunk, config, RECORD, SUMMARY)
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002], indirect=True)
def test_permissions_are_those_of_the_umask(
    pretrain_table: dict[str, Any], tmp_path: Path, umask: int
) -> None:
    config = pretraining(pretrain_table)
    folder = tmp_path / "weights"
    write_trunk(folder, trunk_of(config), config, RECORD, SUMMARY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask, file.name


def test_the_same_weights_make_the_same_bytes(resnet_table: dict[str, Any], tmp_path: Path) -> None:
    config = pretraining(resnet_table)
    trunk = trunk_of(config)
    for name in "ab":
        write_trunk(tmp_path / name, trunk, config, RECORD, SUMMARY)
        for buffer in trunk.state_dict().values():
            # Another place in memory and another layout make no difference.
            buffer.data = buffer.data.clone(memory_format=torch.contiguous_format)
        trunk.to(memory_format=torch.channels_last)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_the_file_has_one_metadata_key_and_the_librarys_own_names(encoder: Path) -> None:
    with safetensors.safe_open(encoder / "model.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt"}
    names = set(load_file(encoder / "model.safetensors"))
    assert names == set(timm.create_model("resnet18", num_classes=0).state_dict())
    assert sorted(path.name for path in encoder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "ssl_registry.json",
    ]
    readme = (encoder / "README.md").read_text()
    for part in ("resnet18", "12 steps", "busi", "CC BY 4.0", "Al-Dhabyani"):
        assert part in readme
    card = json.loads((encoder / "ssl_registry.json").read_text())
    assert "/" not in card["sha256"] and len(card["sha256"]) == 64
