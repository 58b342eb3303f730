"""ResNets exported to torchvision, loaded as their README says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_registry.errors import WeightsError
from ssl_registry.weights.export import export_weights


def run_readme(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the usage snippet beside the folder; gives its names."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(folder.parent)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 1), ("resnet18", 3), ("resnet50", 3)])
def test_the_readme_loads_the_same_network(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, channels: int
) -> None:
    made = make(name, channels=channels, size=64)
    card = export_weights(made.folder, "torchvision", tmp_path / "out", licence="CC-BY-4.0")
    assert (card.library, card.architecture, card.target) == ("torchvision", name, "torchvision")
    theirs = run_readme(tmp_path / "out", monkeypatch)["model"]
    with torch.inference_mode():
        ours = made.module.backbone.exported()(made.images())
        assert torch.equal(theirs(made.images()), ours)


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "timm", "model": "convnext_atto"},
        {"name": "timm", "model": "resnet26"},
        {"name": "timm", "model": "resnet18", "options": {"output_stride": 8}},
    ],
    ids=lambda backbone: backbone["model"],
)
def test_other_networks_are_refused(make: Any, tmp_path: Path, backbone: dict[str, Any]) -> None:
    made = make(backbone, size=64)
    with pytest.raises(WeightsError, match=r"torchvision has no .* only resnet18, resnet34"):
        export_weights(made.folder, "torchvision", tmp_path / "out", licence="CC-BY-4.0")
    assert not (tmp_path / "out").exists()
