"""Networks from exchange folders: built as the card says, and filled with the tensors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ssl_registry import registry
from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.errors import WeightsError
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.nn.segmentation import SegmentationNetwork, output_count
from ssl_registry.nn.trunk import Trunk
from ssl_registry.weights.card import Card
from ssl_registry.weights.fit import Fit, fit, put
from ssl_registry.weights.read import Weights, read_weights

MAX_COMPONENT = 2**12
"""Longer settings of one component are not taken: a network could be built of them for hours."""

MANY_TENSORS = 1000
"""So many parameters more than ten times the tensors in the file end the building of a network."""

_Module = TypeVar("_Module", bound=nn.Module)


def load_network(folder: Path) -> tuple[SegmentationNetwork, Card]:
    """Build the segmentation network of an exchange folder, with its weights, in eval mode.

    Raises:
        WeightsError: The folder holds no segmentation network, or it does not fit its card.
    """
    weights = read_weights(folder)
    return network_of(weights), weights.card


def network_of(weights: Weights) -> SegmentationNetwork:
    """The segmentation network of weights that are read; see `load_network`."""
    card, folder = weights.card, weights.folder
    if card.content != "segmentation" or card.decoder is None:
        raise WeightsError(
            f"{folder} holds pre-trained weights ({card.content}), no segmentation network; "
            "fine-tune it first"
        )
    encoder = _component("backbone", card.backbone, folder)
    expanding = _component("decoder", card.decoder, folder)
    outputs = output_count(len(card.classes), card.exclusive)

    def build() -> SegmentationNetwork:
        backbone = build_backbone(encoder, card.channels)
        return SegmentationNetwork(backbone, build_decoder(expanding, backbone), outputs)

    return _built(build, weights, _parts).eval()


def trunk_of(weights: Weights) -> Trunk:
    """The backbone, and the decoder if there is one, of weights that are read, in eval mode."""
    card, folder = weights.card, weights.folder
    encoder = _component("backbone", card.backbone, folder)
    expanding = _component("decoder", card.decoder, folder) if card.decoder else None

    def build() -> Trunk:
        backbone = build_backbone(encoder, card.channels)
        return Trunk(backbone, build_decoder(expanding, backbone) if expanding else None)

    return _built(build, weights, _parts).eval()


def load_backbone(folder: Path) -> tuple[Backbone, Card]:
    """Build the backbone of an exchange folder, with its weights, in eval mode.

    This is the way to load a pre-trained encoder in code: the card says which backbone it is
    and how images are normalised. Every kind of folder holds a backbone.

    Returns:
        The backbone, on the CPU, and the card (`mean`, `std`, `channels`, `image_size`, ...).

    Raises:
        WeightsError: The folder is missing or damaged, or the weights do not fit its card.
    """
    weights = read_weights(folder)
    return backbone_of(weights), weights.card


def backbone_of(weights: Weights) -> Backbone:
    """The backbone of weights that are read; see `load_backbone`."""
    config = _component("backbone", weights.card.backbone, weights.folder)
    backbone = _built(
        lambda: build_backbone(config, weights.card.channels),
        weights,
        lambda built: {"backbone": built.exported()},
    )
    return backbone.eval()


def _parts(network: Trunk | SegmentationNetwork) -> dict[str, nn.Module]:
    parts: dict[str, nn.Module] = {"backbone": network.backbone.exported()}
    if network.decoder is not None:
        parts["decoder"] = network.decoder
    if isinstance(network, SegmentationNetwork):
        parts["head"] = network.head
    return parts


def _built(
    build: Callable[[], _Module],
    weights: Weights,
    parts_of: Callable[[_Module], Mapping[str, nn.Module]],
) -> _Module:
    """Build a module and fill its parts with the weights, which must fit exactly."""
    try:
        # A card may name a network of any size: on the device "meta" it takes no memory.
        imagined = _imagined(build, 10 * len(weights.tensors) + MANY_TENSORS)
        if imagined is not None:
            for name, part in parts_of(imagined).items():
                _check_fits(fit(part.state_dict(), weights.part(name), name), weights, name)
        module = build()
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise WeightsError(
            f"the network in the card of {weights.folder} cannot be built: {error}"
        ) from error
    for name, part in parts_of(module).items():
        found = fit(part.state_dict(), weights.part(name), name)
        _check_fits(found, weights, name)
        put(part, found)
    return module


def _imagined(build: Callable[[], _Module], most: int) -> _Module | None:
    """The module on the device "meta"; None if it looks at numbers, which are none there.

    A card may also ask for layers without end: it stops at so many parameters.
    """
    count, thread = 0, threading.get_ident()

    def counted(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count
        count += threading.get_ident() == thread
        if count > most:
            raise OverflowError(f"it has more than {most} parameters, the file far fewer")

    hook = register_module_parameter_registration_hook(counted)
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, TypeError) as error:
        if "meta" not in str(error):
            raise
        return None
    finally:
        hook.remove()


def _check_fits(found: Fit, weights: Weights, name: str) -> None:
    if not found.report.fits:
        raise WeightsError(f"{weights.folder}: the {name} does not fit its card: {found.report}")


def _component(kind: str, table: Mapping[str, object], folder: Path) -> ComponentConfig:
    size = len(json.dumps(table))
    if size > MAX_COMPONENT:
        raise WeightsError(f"the settings of the {kind} in the card of {folder} take {size} bytes")
    model = registry.config_model(kind, str(table.get("name", "")))
    return validate(model, table, f"{kind} in the card of {folder}")
