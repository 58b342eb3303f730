"""Encoders, and networks where there is the same one, for segmentation-models-pytorch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from ssl_registry.errors import WeightsError
from ssl_registry.files import write_json
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.weights.card import TENSORS, Card
from ssl_registry.weights.networks import backbone_of, network_of
from ssl_registry.weights.read import Weights
from ssl_registry.weights.rename import Rename, prefixed, renamed
from ssl_registry.weights.targets.contract import (
    ENCODER_ONLY,
    Exported,
    ExportOptions,
    check_same,
    example,
    refuse,
)
from ssl_registry.weights.targets.timm import timm_config, write_encoder
from ssl_registry.weights.tensors import METADATA, check_exportable, save_tensors

LIBRARY = "segmentation-models-pytorch"

NATIVE = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d")
"""smp's own encoders that are those of timm under the same names; others have the prefix `tu-`."""

RULES = (
    Rename(r"^backbone\.", "encoder."),
    Rename(r"^decoder\.steps\.", "decoder.blocks."),
    Rename(r"^head\.", "segmentation_head.0."),
)
"""How a network's names become smp's, where the decoder is smp's own."""

ENCODER_USAGE = """\
import json

import segmentation_models_pytorch as smp
from safetensors.torch import load_file

with open("FOLDER/config.json") as file:
    settings = json.load(file)
model = smp.Unet(**settings, classes=1)  # or another decoder of smp
model.encoder.load_state_dict(load_file("FOLDER/model.safetensors"))
"""

NETWORK_USAGE = """\
import segmentation_models_pytorch as smp

model = smp.from_pretrained("FOLDER").eval()  # normalised images to logits
"""


def export(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    """Write the encoder, or the network if smp has the same; see `Exporter`."""
    refuse(options, "smp", "image_size", "with_normalization")
    whole = weights.card.content == "segmentation" if options.part is None else False
    if whole or options.part == "network":
        return _network(weights, folder, options)
    return _encoder(weights, folder, options)


def _encoder(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    backbone = backbone_of(weights)
    name = encoder_name(backbone, weights.card, options)
    config = encoder_config(name, backbone, weights.card)
    encoder = built("Unet", {**config, "classes": 1}).get_submodule("encoder")
    tensors, ours = encoder_tensors(name, encoder, backbone, weights)
    check_exportable(tensors)
    # The module takes names out of the table it is given.
    encoder.load_state_dict(dict(tensors))
    with torch.inference_mode():
        theirs = [f for f in encoder(example(weights.card))[1:] if f.shape[1] > 0]
    check_same(LIBRARY, theirs, ours[-len(theirs) :])
    save_tensors(folder / TENSORS, tensors, METADATA)
    write_json(folder / "config.json", config)
    changed = {**ENCODER_ONLY, "library": LIBRARY, "architecture": name}
    return Exported(changed, ENCODER_USAGE, tensors)


def _network(weights: Weights, folder: Path, options: ExportOptions) -> Exported:
    network = network_of(weights)
    settings = network.decoder.library_config()
    if not settings:
        decoder = (weights.card.decoder or {}).get("name")
        raise WeightsError(
            f"{LIBRARY} has no network with the decoder {decoder!r} (see docs/weights.md for those "
            "it has); give --part encoder to export the encoder alone, or export the network to "
            "onnx or torch-export"
        )
    name = encoder_name(network.backbone, weights.card, options)
    config = settings | encoder_config(name, network.backbone, weights.card)
    config["classes"] = network.head.out_channels
    model = built(config.pop("_model_class"), config)
    encoder = model.get_submodule("encoder")
    inner, _ = encoder_tensors(name, encoder, network.backbone, weights)
    rest = {k: v for k, v in weights.tensors.items() if not k.startswith("backbone.")}
    parts = rest | renamed(inner, prefixed("backbone."))
    tensors = renamed(parts, RULES)
    check_exportable(tensors)
    model.load_state_dict(tensors)
    images = example(weights.card)
    with torch.inference_mode():
        check_same(LIBRARY, [model(images)], [network(images)])
    save_tensors(folder / TENSORS, tensors, METADATA)
    write_json(folder / "config.json", {"_model_class": settings["_model_class"], **config})
    changed = {"library": LIBRARY, "architecture": f"{settings['_model_class']} {name}"}
    return Exported(changed, NETWORK_USAGE, tensors)


def encoder_name(backbone: Backbone, card: Card, options: ExportOptions) -> str:
    """What smp calls an encoder: as asked for if that is the same network, or its native one.

    Raises:
        WeightsError: smp has no such encoder, or the one asked for is another network.
    """
    config = timm_config(backbone, card)
    architecture, plain = config["architecture"], not _arguments(config)
    names = [f"tu-{architecture}"]
    if architecture in NATIVE and plain:
        names.insert(0, architecture)
    if options.architecture not in (None, *names):
        raise WeightsError(
            f"the encoder {options.architecture!r} of {LIBRARY} is another network than "
            f"{architecture}; give --architecture {' or '.join(names)}"
        )
    return options.architecture or names[0]


def encoder_config(name: str, backbone: Backbone, card: Card) -> dict[str, Any]:
    """The arguments of an smp model that belong to its encoder."""
    arguments = _arguments(timm_config(backbone, card))
    return {
        "encoder_name": name,
        "encoder_weights": None,
        "in_channels": card.channels,
        **arguments,
    }


def encoder_tensors(
    name: str, encoder: nn.Module, backbone: Backbone, weights: Weights
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The tensors under the encoder's names, and the feature maps it is to give of `example`.

    A `tu-` encoder is what timm makes of a network with `features_only=True`: it has other names,
    lacks what comes after the last map, and does not apply a transformer's final norm.
    """
    images = example(weights.card)
    if not name.startswith("tu-"):
        with torch.inference_mode():
            return weights.part("backbone"), backbone(images)
    levels = cast("Any", encoder).model.feature_info.out_indices
    with tempfile.TemporaryDirectory() as scratch:
        write_encoder(weights, backbone, Path(scratch))
        inner: nn.Module = timm.create_model(
            f"local-dir:{scratch}", pretrained=True, features_only=True, out_indices=levels
        ).eval()
    with torch.inference_mode():
        maps = list(inner(images))
    if getattr(inner, "output_fmt", "NCHW") == "NHWC":
        maps = [level.permute(0, 3, 1, 2) for level in maps]
    return renamed(inner.state_dict(), prefixed("model.")), maps


def built(model_class: str, config: dict[str, Any]) -> nn.Module:
    """A model of smp, in eval mode.

    Raises:
        WeightsError: smp is not installed or cannot build it.
    """
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise WeightsError(
            f"exporting to smp needs {LIBRARY}: pip install 'ssl-registry[smp]'"
        ) from error
    try:
        model: nn.Module = getattr(segmentation_models_pytorch, model_class)(**config)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{LIBRARY} cannot build its {model_class} with {config['encoder_name']}: {error}"
        ) from error
    return model.eval()


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    """Further arguments of the encoder, as timm takes them, without the channels."""
    return {k: v for k, v in config.get("model_args", {}).items() if k != "in_chans"}
