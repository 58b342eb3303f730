"""`ssl-registry weights import`: what it says, what it takes, and weights that timm names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner, Result
from huggingface_hub import constants
from safetensors.torch import save_file

from ssl_registry.cli.runner import runner
from ssl_registry.cli.weights import weights
from ssl_registry.cli.weights_import import SOURCES
from ssl_registry.weights import layouts
from ssl_registry.weights.networks import load_backbone

PAGE = Path(__file__).parents[2] / "docs/weights.md"
CALL = "from ssl_registry.cli import main; main()"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(runner, ["weights", "import", *map(str, arguments)])


@pytest.fixture(scope="module")
def moco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the names of MoCo's, of a ResNet-18."""
    torch.manual_seed(0)
    encoder = torchvision.models.resnet18(num_classes=4).state_dict()
    state = {f"module.encoder_q.{name}": value for name, value in encoder.items()}
    state["module.queue"] = torch.ones(4, 8)
    file = tmp_path_factory.mktemp("moco") / "moco_v2.pth.tar"
    torch.save({"epoch": 1, "state_dict": state}, file)
    return file


def test_it_says_what_was_taken_and_what_was_left_out(moco: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    result = run(moco, "--backbone", "resnet18", "--out", out, "--licence", "CC-BY-NC-4.0")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    for line in (
        "recognised  moco (query encoder `encoder_q`)",
        "entry       state_dict",
        "taken       120 tensors",
        "left out    queue (1), fc (2)",
        "mean and std were not given; those of ImageNet are assumed",
        "224 px is assumed",
    ):
        assert line in result.stderr
    assert "no licence is stated" not in result.stderr
    card = json.loads((out / "ssl_registry.json").read_text())
    assert card["licence"] == "CC-BY-NC-4.0"
    assert card["run"]["origin"]["file"] == "moco_v2.pth.tar"
    page = (out / "README.md").read_text()
    assert "moco_v2.pth.tar" in page and "Licence of the weights: CC-BY-NC-4.0" in page
    theirs: Any = timm.create_model(f"local-dir:{out}", pretrained=True, num_classes=0).eval()
    mine, _ = load_backbone(out)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(theirs.forward_features(images), mine(images)[-1])


def test_how_images_are_prepared_is_recorded(moco: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights"
    prepared = ("--mean", "0.5,0.4,0.3", "--std", "0.2,0.2,0.2", "--image-size", "96")
    result = run(moco, "--from", "moco", "--backbone", "resnet18", "--out", out, *prepared)
    assert result.exit_code == 0, result.output
    assert "assumed" not in result.stderr and "no licence is stated" in result.stderr
    card = json.loads((out / "ssl_registry.json").read_text())
    assert (card["mean"], card["image_size"], card["licence"]) == ([0.5, 0.4, 0.3], 96, None)
    assert json.loads((out / "config.json").read_text())["pretrained_cfg"]["mean"][0] == 0.5


@pytest.mark.parametrize(("answer", "licence"), [(" MIT \n", "MIT"), ("\n", None)])
def test_the_licence_is_asked_for(
    moco: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    licence: str | None,
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("ssl_registry.cli.weights_import.sys", terminal)
    words = ["weights", "import", str(moco), "--backbone", "resnet18", "--out"]
    result = CliRunner().invoke(runner, [*words, str(tmp_path / "weights")], input=answer)
    assert result.exit_code == 0 and "Licence of the weights" in result.stderr, result.output
    card = json.loads((tmp_path / "weights" / "ssl_registry.json").read_text())
    assert card["licence"] == licence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "backbone: is missing"),
        (("--backbone", "resnet81"), "did you mean"),
        (("--backbone", "resnet18", "--set", "backbone.stm=cifar"), "backbone.stm"),
        (("--backbone", "resnet18", "--set", "backbone.stem=cifar"), "conv1.weight 64x3x7x7"),
        (("--backbone", "resnet50"), "does not fit the backbone resnet50"),
        (("--backbone", "resnet18", "--from", "simsiam"), "as those of moco"),
        (("--backbone", "resnet18", "--mean", "0.5"), "--mean and --std together"),
        (("--backbone", "resnet18", "--mean", "a,b", "--std", "1"), "'a,b' is no number"),
        (("--backbone", "resnet18", "--mean", "0,0", "--std", "1,1"), "1 or 3 values"),
        (("--backbone", "resnet18", "--image-size", "1"), "image_size"),
        (("--backbone", "resnet18", "--entry", "ema"), "no tensors under 'ema'"),
        (("--backbone", "resnet18", "--licence", "a\nb"), "licence"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    moco: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(moco, *arguments, "--out", tmp_path / "weights")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not (tmp_path / "weights").exists()


@pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree")
def test_the_commands_of_the_page_are_understood() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split() for block in blocks for line in block.splitlines()]
    commands = [words[2:] for words in lines if words[:2] == ["ssl-registry", "weights"]]
    assert len(commands) == 6
    context = weights.make_context("weights", [], resilient_parsing=True)
    for name, *arguments in commands:
        command = weights.get_command(context, name)
        assert command is not None
        command.make_context(name, arguments)


def test_the_sources_are_those_that_have_layouts() -> None:
    assert set(SOURCES) == set(layouts.SOURCES)


def test_help_does_not_import_torch() -> None:
    code = f"import sys; sys.argv[1:] = ['weights', 'import', '-h']; {CALL}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0 and "--backbone" in done.stdout
    assert "| torch\n" not in done.stderr


def test_weights_of_timm_come_from_the_local_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    torch.manual_seed(0)
    model: Any = timm.create_model("resnet18")
    snapshot = tmp_path / "hub/models--timm--resnet18.a1_in1k/snapshots/0123456789"
    snapshot.mkdir(parents=True)
    save_file(model.state_dict(), snapshot / "model.safetensors")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text(snapshot.name)
    out = tmp_path / "weights"
    done = run("timm:resnet18.a1_in1k", "--channels", "1", "--out", out)
    assert done.exit_code == 0, done.stderr
    assert "timm states the licence apache-2.0" in done.stderr
    assert "conv1.weight from 3 to 1 channels" in done.stderr
    backbone, card = load_backbone(out)
    own = backbone.exported().state_dict()
    assert torch.equal(own["conv1.weight"], model.state_dict()["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(own["layer4.1.conv2.weight"], model.layer4[1].conv2.weight)
    assert (card.image_size, card.licence, card.channels) == (224, None, 1)
    assert card.run["origin"]["file"] == "timm:resnet18.a1_in1k"


def test_offline_and_not_in_the_cache_it_is_said_what_to_do(tmp_path: Path) -> None:
    out = tmp_path / "weights"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    words = ["weights", "import", "timm:resnet18.a1_in1k", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", CALL, *words],
        capture_output=True,
        text=True,
        env={**environment, "TORCH_HOME": str(tmp_path / "torch"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: timm cannot get the weights resnet18.a1_in1k")
    for part in ("$HF_HOME", "timm/resnet18.a1_in1k", "--from timm --backbone"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("timm:resnet18.none",), "of resnet18 it has resnet18.a1_in1k"),
        (("timm:resnett18", "--backbone", "resnet18"), "no model 'resnett18'; did you mean"),
        (("timm:convnext_atto.d2_in1k",), "--set backbone.model=convnext_atto"),
        (("timm:resnet18.a1_in1k", "--backbone", "resnet50"), "are weights of resnet18"),
        (("timm:resnet18.a1_in1k", "--from", "moco"), "comes from timm, not from moco"),
    ],
)
def test_names_that_timm_or_the_backbone_do_not_know(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments, "--out", tmp_path / "weights")
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert not (tmp_path / "weights").exists()
