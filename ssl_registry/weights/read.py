"""Reading exchange folders: names and shapes are compared first, and nothing is left to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ssl_registry import registry
from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.config.run import Scope
from ssl_registry.errors import WeightsError
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.nn.segmentation import SegmentationNetwork, output_count
from ssl_registry.nn.trunk import Trunk
from ssl_registry.weights.card import TENSORS, Card, read_card
from ssl_registry.weights.tensors import file_digest

SHOWN = 3


@dataclass(frozen=True)
class LoadReport:
    """What came of comparing weights with a module, by tensor name."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every tensor found its place."""
        return bool(self.loaded) and not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors fit"]
        for name in ("missing", "unexpected", "mismatched"):
            entries: tuple[str, ...] = getattr(self, name)
            if entries:
                more = ", ..." if len(entries) > SHOWN else ""
                parts.append(f"{len(entries)} {name} ({', '.join(entries[:SHOWN])}{more})")
        return "; ".join(parts)


@dataclass(frozen=True)
class Weights:
    """The card and tensors of an exchange folder."""

    folder: Path
    card: Card
    tensors: Mapping[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of `backbone`, `decoder` or `head`, without the prefix."""
        if self.card.content == "encoder":
            return dict(self.tensors) if name == "backbone" else {}
        prefix = f"{name}."
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}


def read_weights(folder: Path) -> Weights:
    """Read an exchange folder.

    Raises:
        WeightsError: It is missing, damaged, or no such folder; names the file.
    """
    card = read_card(folder)
    file = folder / TENSORS
    try:
        tensors = load_file(file)
        digest = file_digest(file)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file} is no safetensors file, or is damaged: {error}") from error
    if digest != card.sha256:
        raise WeightsError(
            f"{file} is not the file its card describes (sha256 {digest[:12]}..., the card says "
            f"{card.sha256[:12]}...): it was damaged or exchanged; copy the folder again"
        )
    return Weights(folder, card, tensors)


def load_weights(module: Trunk | SegmentationNetwork, folder: Path, scope: Scope) -> LoadReport:
    """Load pre-trained weights into the backbone, or the backbone and decoder, of `module`.

    Raises:
        WeightsError: Tensors are missing, unexpected or of another shape; nothing is loaded
            then, and the message says what differs.
    """
    weights = read_weights(folder)
    parts: list[tuple[str, nn.Module]] = [("backbone", module.backbone.exported())]
    if scope == "encoder_decoder":
        if weights.card.decoder is None or module.decoder is None:
            raise WeightsError(
                f"{folder} holds an encoder only; set scope = 'encoder', or pre-train a decoder too"
            )
        parts.append(("decoder", module.decoder))
    states = [(name, part, weights.part(name)) for name, part in parts]
    reports = [compare(part.state_dict(), state, name) for name, part, state in states]
    report = _joined(reports)
    if not all(part.fits for part in reports):
        raise WeightsError(
            f"the weights in {folder} (backbone {_named(weights.card.backbone)}, decoder "
            f"{_named(weights.card.decoder)}, {weights.card.channels} channels) do not fit this "
            f"network: {report}. Nothing was loaded."
        )
    for _, part, state in states:
        part.load_state_dict(state)
    return report


def load_network(folder: Path) -> tuple[SegmentationNetwork, Card]:
    """Build the segmentation network of an exchange folder, with its weights, in eval mode.

    Raises:
        WeightsError: The folder holds no segmentation network, or it does not fit its card.
    """
    weights = read_weights(folder)
    card = weights.card
    if card.content != "segmentation" or card.decoder is None:
        raise WeightsError(
            f"{folder} holds pre-trained weights ({card.content}), no segmentation network; "
            "fine-tune it first"
        )
    backbone = build_backbone(_component("backbone", card.backbone, folder), card.channels)
    decoder = build_decoder(_component("decoder", card.decoder, folder), backbone)
    outputs = output_count(len(card.classes), card.exclusive)
    network = SegmentationNetwork(backbone, decoder, outputs)
    _fill(network, weights)
    return network.eval(), card


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
    config = _component("backbone", weights.card.backbone, folder)
    backbone = build_backbone(config, weights.card.channels)
    _load_part(backbone.exported(), weights, "backbone")
    return backbone.eval(), weights.card


def _fill(network: SegmentationNetwork, weights: Weights) -> None:
    parts: list[tuple[str, nn.Module]] = [
        ("backbone", network.backbone.exported()),
        ("decoder", network.decoder),
        ("head", network.head),
    ]
    for name, part in parts:
        _load_part(part, weights, name)


def _load_part(part: nn.Module, weights: Weights, name: str) -> None:
    state = weights.part(name)
    report = compare(part.state_dict(), state, name)
    if not report.fits:
        raise WeightsError(f"{weights.folder}: the {name} does not fit its card: {report}")
    part.load_state_dict(state)


def _component(kind: str, table: Mapping[str, object], folder: Path) -> ComponentConfig:
    model = registry.config_model(kind, str(table.get("name", "")))
    return validate(model, table, f"{kind} in the card of {folder}")


def compare(own: Mapping[str, Tensor], given: Mapping[str, Tensor], prefix: str) -> LoadReport:
    """Compare a module's tensors with given ones, by name and shape."""
    both = [name for name in own if name in given]
    wrong = [name for name in both if own[name].shape != given[name].shape]
    return LoadReport(
        loaded=tuple(f"{prefix}.{name}" for name in both if name not in wrong),
        missing=tuple(f"{prefix}.{name}" for name in own if name not in given),
        unexpected=tuple(f"{prefix}.{name}" for name in given if name not in own),
        mismatched=tuple(
            f"{prefix}.{name} {_shape(given[name])} for {_shape(own[name])}" for name in wrong
        ),
    )


def _joined(reports: Sequence[LoadReport]) -> LoadReport:
    return LoadReport(
        loaded=tuple(name for report in reports for name in report.loaded),
        missing=tuple(name for report in reports for name in report.missing),
        unexpected=tuple(name for report in reports for name in report.unexpected),
        mismatched=tuple(name for report in reports for name in report.mismatched),
    )


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def _named(table: Mapping[str, object] | None) -> str:
    return str(table["name"]) if table else "none"
