"""Encoders as plain timm loads them: `timm.create_model("local-dir:FOLDER", pretrained=True)`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import timm
import torch

from ssl_registry.errors import WeightsError
from ssl_registry.files import write_json
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.weights.card import TENSORS, Card
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
from ssl_registry.weights.tensors import METADATA, check_exportable, save_tensors
from ssl_registry.weights.write import library_config

USAGE = """\
import timm

encoder = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # images to vectors
maps = timm.create_model("local-dir:FOLDER", pretrained=True, features_only=True).eval()
classifier = timm.create_model("local-dir:FOLDER", pretrained=True, num_classes=3)
preprocessing = timm.data.resolve_model_data_config(encoder)
transform = timm.data.create_transform(**preprocessing)  # of a picture of Pillow
"""


def export(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    """Write the encoder, under timm's own names; see `Exporter`."""
    refuse(options, "timm", "architecture", "image_size", "with_normalization")
    if options.part == "network":
        raise WeightsError("timm has no segmentation networks; leave out --part or give encoder")
    backbone = backbone_of(weights)
    config = write_encoder(weights, backbone, folder)
    theirs: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = example(weights.card)
    with torch.inference_mode():
        outputs = theirs.forward_features(images)
        ours = cast("Any", backbone.exported()).forward_features(images)
    check_same("timm", [outputs], [ours])
    changed = {**ENCODER_ONLY, "library": "timm", "architecture": config["architecture"]}
    return Exported(changed, USAGE, weights.part("backbone"))


def write_encoder(weights: Weights, backbone: Backbone, folder: Path) -> dict[str, Any]:
    """Write the encoder's tensors and timm's `config.json` into `folder`; gives the latter.

    Raises:
        WeightsError: timm cannot build this encoder.
    """
    config = timm_config(backbone, weights.card)
    tensors = weights.part("backbone")
    check_exportable(tensors)
    save_tensors(folder / TENSORS, tensors, METADATA)
    write_json(folder / "config.json", config)
    return config


def timm_config(backbone: Backbone, card: Card) -> dict[str, Any]:
    """The `config.json` that timm reads for a backbone.

    Raises:
        WeightsError: timm cannot build it.
    """
    config = library_config(backbone, card)
    if not config:
        raise WeightsError(
            f"the backbone {card.backbone['name']!r} with these settings is no network of timm "
            "(nor of torchvision or segmentation-models-pytorch); export it to onnx or torch-export"
        )
    return config
