"""Folders of weights with values that no fresh module has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.nn import SegmentationNetwork, Trunk
from ssl_registry.weights.write import write_network, write_trunk

RECORD: dict[str, Any] = {
    "id": "0123456789ab",
    "gray": True,
    "data": [
        {
            "name": "busi",
            "organ": "breast",
            "modality": "ultrasound",
            "licence": "CC BY 4.0",
            "citation": "Al-Dhabyani 2020",
        }
    ],
}
NON_COMMERCIAL = {**RECORD["data"][0], "name": "camus", "licence": "CC BY-NC-SA 4.0"}
TINY_UNET = ({"name": "unet_encoder", "widths": [4, 8, 16]}, {"name": "unet", "widths": [8, 4]})


@dataclass(frozen=True)
class Made:
    """A folder, and what was written into it, in eval mode."""

    folder: Path
    module: Any
    size: int
    channels: int

    def images(self, count: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        return torch.rand(count, self.channels, self.size, self.size, generator=generator)

    def outputs(self, count: int = 2) -> Any:
        """Of the network, or the backbone's maps of a trunk."""
        network = self.module.backbone if isinstance(self.module, Trunk) else self.module
        with torch.inference_mode():
            return network(self.images(count))


Make = Callable[..., Made]


@pytest.fixture
def make(tmp_path: Path, pretrain_table: dict[str, Any], finetune_table: dict[str, Any]) -> Make:
    """Write `name` with a backbone, and a decoder if it is given; `outputs` makes it a network."""

    def write(
        backbone: dict[str, Any] | str = "resnet18",
        decoder: dict[str, Any] | str | None = None,
        *,
        channels: int = 1,
        size: int = 32,
        outputs: int = 0,
        name: str = "source",
        record: dict[str, Any] = RECORD,
    ) -> Made:
        folder = tmp_path / name
        parts = {"backbone": backbone, "decoder": decoder} if decoder else {"backbone": backbone}
        changes = {**parts, "channels": channels, "image_size": size}
        if outputs:
            config = validate(FinetuneConfig, {**finetune_table, **changes}, "test")
            encoder = build_backbone(config.backbone, channels)
            expanding = build_decoder(config.decoder, encoder)
            network = shaken(SegmentationNetwork(encoder, expanding, outputs))
            classes = ("lesion",) if outputs == 1 else tuple(f"c{i}" for i in range(1, outputs))
            write_network(folder, network, config, classes, True, record, {"steps": 12})
            return Made(folder, network, size, channels)
        pretrain = validate(PretrainConfig, {**pretrain_table, **changes}, "test")
        encoder = build_backbone(pretrain.backbone, channels)
        trunk = Trunk(encoder, build_decoder(pretrain.decoder, encoder) if decoder else None)
        write_trunk(folder, shaken(trunk), pretrain, record, {"steps": 12, "epochs": 1.5})
        return Made(folder, trunk, size, channels)

    return write


def shaken(module: Any) -> Any:
    """Give every tensor, buffers too, values that no fresh module has."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=generator) * 0.01)
            else:
                value.fill_(7)
    return module.eval()
