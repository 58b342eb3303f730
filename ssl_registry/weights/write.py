"""Writing exchange folders: all at once, readable under the umask, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.files import new_folder, write_json, write_text
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.nn.trunk import Trunk
from ssl_registry.weights.card import CARD, TENSORS, Card
from ssl_registry.weights.readme import readme
from ssl_registry.weights.tensors import (
    METADATA,
    check_exportable,
    content_digest,
    file_digest,
    save_tensors,
)

SQUASHED: Final[Mapping[str, Any]] = {
    "interpolation": "bilinear",
    "crop_pct": 1.0,
    "crop_mode": "squash",
}
"""What timm calls how images are stored here: the whole of each, squashed to the square."""


def write_trunk(
    folder: Path,
    trunk: Trunk,
    config: PretrainConfig,
    record: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> None:
    """Write pre-trained weights: an encoder under its library's own keys, or both parts."""
    if trunk.decoder is None:
        tensors = trunk.backbone.exported().state_dict()
    else:
        tensors = parts_state(trunk)
    mean, std = config.normalization.for_channels(config.channels)
    card = Card(
        content="encoder" if trunk.decoder is None else "encoder_decoder",
        backbone=config.backbone.model_dump(mode="json"),
        decoder=config.decoder.model_dump(mode="json") if config.decoder else None,
        channels=config.channels,
        gray=record["gray"],
        image_size=config.image_size,
        mean=mean,
        std=std,
        sha256="",
        run=record,
        summary=summary,
    )
    library = library_config(trunk.backbone, card) if trunk.decoder is None else {}
    _write(folder, tensors, card, library)


def write_network(
    folder: Path,
    network: SegmentationNetwork,
    config: FinetuneConfig,
    classes: tuple[str, ...],
    exclusive: bool,
    record: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> None:
    """Write a fine-tuned segmentation network."""
    mean, std = config.normalization.for_channels(config.channels)
    card = Card(
        content="segmentation",
        backbone=config.backbone.model_dump(mode="json"),
        decoder=config.decoder.model_dump(mode="json"),
        channels=config.channels,
        gray=record["gray"],
        image_size=config.image_size,
        mean=mean,
        std=std,
        classes=classes,
        exclusive=exclusive,
        threshold=config.threshold,
        sha256="",
        run=record,
        summary=summary,
    )
    _write(folder, parts_state(network), card, {})


def write_encoder(folder: Path, backbone: Backbone, card: Card) -> None:
    """Write a backbone whose weights come from elsewhere; `card` says what it is and whence."""
    _write(folder, backbone.exported().state_dict(), card, library_config(backbone, card))


def parts_state(module: Trunk | SegmentationNetwork) -> dict[str, Tensor]:
    """The tensors of a trunk or network under `backbone.`, `decoder.` and `head.`."""
    state = {f"backbone.{k}": v for k, v in module.backbone.exported().state_dict().items()}
    rest = module.state_dict()
    return state | {k: v for k, v in rest.items() if not k.startswith("backbone.")}


def library_config(backbone: Backbone, card: Card) -> dict[str, Any]:
    """The backbone's `config.json`, told how the images it was trained on were prepared.

    Of imported weights the card tells size and normalisation alone. Empty if no other library can
    build the backbone.
    """
    library = backbone.library_config()
    if library:
        library.setdefault("pretrained_cfg", {}).update(
            input_size=[card.channels, card.image_size, card.image_size],
            mean=list(card.mean),
            std=list(card.std),
            **({} if "origin" in card.run else SQUASHED),
        )
    return library


def _write(
    folder: Path, tensors: Mapping[str, Tensor], card: Card, library: Mapping[str, Any]
) -> None:
    check_exportable(tensors)
    with new_folder(folder) as temporary:
        save_tensors(temporary / TENSORS, tensors, METADATA)
        final = card.model_copy(
            update={
                "library": "timm" if library else "ssl_registry",
                "architecture": library.get("architecture", _architecture(card)),
                "sha256": file_digest(temporary / TENSORS),
                "digest": content_digest(tensors),
            }
        )
        write_json(temporary / CARD, final.model_dump(mode="json"))
        if library:
            write_json(temporary / "config.json", library)
        write_text(temporary / "README.md", readme(final))


def _architecture(card: Card) -> str:
    parts = (card.backbone, card.decoder)
    return " + ".join(str(part["name"]) for part in parts if part is not None)
