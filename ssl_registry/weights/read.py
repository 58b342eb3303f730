"""Reading exchange folders: names and shapes are compared first, and nothing is left to chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ssl_registry.config.run import Scope
from ssl_registry.errors import WeightsError
from ssl_registry.kept import kept
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.nn.trunk import Trunk
from ssl_registry.weights.card import TENSORS, Card, read_card
from ssl_registry.weights.fit import LoadReport, fit, joined, put
from ssl_registry.weights.tensors import file_digest

_PARTS = ("backbone", "decoder", "head")


@dataclass(frozen=True)
class Weights:
    """The card and tensors of an exchange folder.

    Raises:
        WeightsError: A tensor belongs to no part of a network.
    """

    folder: Path
    card: Card
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.card.content == "encoder" or self.card.target is not None:
            return
        strange = [name for name in self.tensors if name.partition(".")[0] not in _PARTS]
        if strange:
            raise WeightsError(
                f"{self.folder / TENSORS} holds {len(strange)} tensors that belong to no part of "
                f"a network, such as {strange[0][:80]!r}"
            )

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of `backbone`, `decoder` or `head`, without the prefix."""
        if self.card.content == "encoder":
            return dict(self.tensors) if name == "backbone" else {}
        prefix = f"{name}."
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}


def read_weights(folder: Path) -> Weights:
    """Read an exchange folder.

    Raises:
        WeightsError: It is missing, damaged, no such folder, or laid out for another library;
            names the file.
    """
    card = read_card(folder)
    if card.target is not None:
        raise WeightsError(
            f"{folder} was exported for {card.target} and is laid out as that needs it; use the "
            "folder it was exported from"
        )
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


def load_weights(
    module: Trunk | SegmentationNetwork,
    folder: Path,
    scope: Scope,
    *,
    allow_missing: Sequence[str] = (),
) -> LoadReport:
    """Load pre-trained weights into the backbone, or the backbone and decoder, of `module`.

    Weights of half precision are widened. A backbone that takes 1 channel where the weights took
    3, or the other way round, gets kernels adapted to that (see `ssl_registry.weights.fit`).

    Args:
        module: What to load into.
        folder: The exchange folder.
        scope: Whether the decoder is loaded too.
        allow_missing: Patterns of names that may be missing from the folder, such as
            `backbone.layer4.*`; those keep the values they have.

    Raises:
        WeightsError: Tensors are missing, unexpected or of another shape, or none fits; nothing
            is loaded then, and the message says what differs.
    """
    card = read_card(folder)
    weights = kept("weights", (folder, card.sha256), lambda: read_weights(folder), most=1)
    parts: list[tuple[str, nn.Module]] = [("backbone", module.backbone.exported())]
    if scope == "encoder_decoder":
        if weights.card.decoder is None or module.decoder is None:
            raise WeightsError(
                f"{folder} holds an encoder only; set scope = 'encoder', or pre-train a decoder too"
            )
        parts.append(("decoder", module.decoder))
    adapt_stem = weights.card.channels != module.backbone.in_channels
    fits = [
        fit(
            part.state_dict(),
            weights.part(name),
            name,
            adapt_stem=adapt_stem and name == "backbone",
            allow_missing=allow_missing,
        )
        for name, part in parts
    ]
    report = joined([found.report for found in fits])
    if not all(found.report.fits for found in fits):
        raise WeightsError(
            f"the weights in {folder} (backbone {_named(weights.card.backbone)}, decoder "
            f"{_named(weights.card.decoder)}, {weights.card.channels} channels) do not fit this "
            f"network: {report}. Nothing was loaded."
        )
    for (_, part), found in zip(parts, fits, strict=True):
        put(part, found)
    return report


def _named(table: Mapping[str, object] | None) -> str:
    return str(table.get("name", "unnamed")) if table else "none"
