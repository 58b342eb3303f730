"""ResNets as torchvision names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from ssl_registry.errors import WeightsError
from ssl_registry.files import write_json
from ssl_registry.weights.card import TENSORS
from ssl_registry.weights.networks import backbone_of
from ssl_registry.weights.read import Weights
from ssl_registry.weights.targets.contract import (
    ENCODER_ONLY,
    Exported,
    ExportOptions,
    check_same,
    example,
    refuse,
)
from ssl_registry.weights.targets.timm import timm_config
from ssl_registry.weights.tensors import METADATA, check_exportable, save_tensors

NETWORKS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
)
"""The networks that timm and torchvision have in common, under the same names."""

USAGE = """\
import torch
import torchvision
from safetensors.torch import load_file

model = torchvision.models.get_model("ARCHITECTURE", weights=None)
STEMmodel.fc = torch.nn.Identity()  # the file holds no classifier; put yours here after loading
model.load_state_dict(load_file("FOLDER/model.safetensors"))
model.eval()
"""

_GRAY_STEM = """\
model.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
"""


def export(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    """Write the encoder, if it is a ResNet of torchvision's; see `Exporter`."""
    refuse(options, "torchvision", "architecture", "image_size", "with_normalization")
    if options.part == "network":
        raise WeightsError("torchvision has none of these segmentation networks; leave out --part")
    backbone = backbone_of(weights)
    config, channels = timm_config(backbone, weights.card), weights.card.channels
    name = config["architecture"]
    if name not in NETWORKS or set(config.get("model_args", {})) - {"in_chans"}:
        raise WeightsError(
            f"torchvision has no {name!r} like this one, only {', '.join(NETWORKS)} with their "
            "default settings; export it to timm"
        )
    tensors = weights.part("backbone")  # timm's names are torchvision's
    check_exportable(tensors)
    save_tensors(folder / TENSORS, tensors, METADATA)
    images = example(weights.card)
    with torch.inference_mode():
        theirs = built(name, channels, folder)(images)
        ours = backbone(images)[-1].mean((-2, -1))
    check_same("torchvision", [theirs], [ours])
    preprocessing = {key: config["pretrained_cfg"][key] for key in ("input_size", "mean", "std")}
    write_json(folder / "config.json", {"architecture": name, **preprocessing})
    stem = _GRAY_STEM if channels == 1 else ""
    usage = USAGE.replace("ARCHITECTURE", name).replace("STEM", stem)
    changed = {**ENCODER_ONLY, "library": "torchvision", "architecture": name}
    return Exported(changed, usage, tensors)


def built(name: str, channels: int, folder: Path) -> nn.Module:
    """The network of torchvision without classifier, with the weights in `folder`, in eval mode."""
    model: Any = torchvision.models.get_model(name, weights=None)
    if channels == 1:
        model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    model.fc = nn.Identity()
    model.load_state_dict(load_file(folder / TENSORS))
    network: nn.Module = model.eval()
    return network
