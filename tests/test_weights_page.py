"""The page about weights: its commands export, and its code runs without ssl_registry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.cli.runner import runner
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.pictures import read_luma
from ssl_registry.data.resize import shrink_image
from ssl_registry.nn import SegmentationNetwork, Trunk
from ssl_registry.nn.normalization import Normalize
from ssl_registry.weights.networks import load_backbone
from ssl_registry.weights.write import write_network, write_trunk

DOCS = Path(__file__).parents[1] / "docs"
PAGE, SCRIPT = DOCS / "weights.md", DOCS / "use_weights.py"
RECORD = {"gray": True, "data": []}

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree"),
]

WITHOUT = (
    "import sys\n"
    "class Absent:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0].startswith('ssl_registry'):\n"
    "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    "sys.meta_path.insert(0, Absent())\n"
    "try:\n"
    "    import ssl_registry\n"
    "except ModuleNotFoundError:\n"
    "    pass\n"
    "else:\n"
    "    raise SystemExit('ssl_registry is there')\n"
)
"""Runs first: from here on `import ssl_registry` fails."""


def without_ssl_registry(code: str, folder: Path, *words: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, pretrain_table: dict[str, Any], finetune_table: dict[str, Any]) -> Path:
    """A folder that holds `pretrained` and `finetuned`."""
    parts = {"backbone": {"name": "resnet18"}, "channels": 1, "image_size": 64}
    pretrain = validate(PretrainConfig, {**pretrain_table, **parts}, "test")
    backbone = build_backbone(pretrain.backbone, 1)
    write_trunk(tmp_path / "pretrained", Trunk(backbone), pretrain, RECORD, {})
    parts["decoder"] = {"name": "smp_unet", "widths": [16, 8, 8, 4, 4]}
    finetune = validate(FinetuneConfig, {**finetune_table, **parts}, "test")
    decoder = build_decoder(finetune.decoder, backbone)
    network = SegmentationNetwork(backbone, decoder, 1)
    write_network(tmp_path / "finetuned", network, finetune, ("lesion",), True, RECORD, {})
    return tmp_path


def test_the_page_runs_without_the_library(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxscript", "onnxruntime", "segmentation_models_pytorch"):
        pytest.importorskip(name, reason=f"needs {name}")
    monkeypatch.chdir(place)
    commands = [line for block in blocks("bash")[1:] for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        result = CliRunner().invoke(runner, command.split()[1:])
        assert result.exit_code == 0, f"{command}: {result.stderr}"
    code = "\n".join(blocks("python"))
    shapes = (
        "scores = classifier(torch.ones(2, 1, 64, 64))\n"
        "print(vectors.shape, len(maps), scores.shape, lesion.shape, logits.shape)"
    )
    out = without_ssl_registry(f"{code}\n{shapes}\n", place)
    assert out.splitlines()[-1] == (
        "torch.Size([2, 512]) 5 torch.Size([2, 3]) (3, 1, 64, 64) torch.Size([3, 1, 64, 64])"
    )


def test_the_script_gives_the_librarys_features(place: Path) -> None:
    generator = np.random.default_rng(3)
    paths = []
    for number, (height, width) in enumerate([(90, 120), (64, 64), (200, 31)]):
        pixels = generator.integers(0, 256, (height, width), dtype=np.uint8)
        paths.append(place / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    words = [SCRIPT, place / "pretrained", place / "features.safetensors", *paths]
    run = (
        "import runpy\nsys.argv = sys.argv[1:]\nrunpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    assert without_ssl_registry(run, place, *words) == "3 images, 512 numbers each\n"
    backbone, card = load_backbone(place / "pretrained")
    images = np.stack([shrink_image(read_luma(path), card.image_size, 1) for path in paths])
    batch = Normalize(card.mean, card.std)(torch.from_numpy(images).float() / 255)
    with torch.inference_mode():
        expected = backbone(batch)[-1].mean((-2, -1))
    assert torch.equal(load_file(place / "features.safetensors")["features"], expected)
