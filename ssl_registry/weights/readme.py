"""`README.md` of an exchange folder, which is also its page on the Hugging Face Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ssl_registry.weights.card import CARD, TENSORS, Card
from ssl_registry.weights.licences import data_used, licences_before

_TASKS = {
    "encoder": "image-feature-extraction",
    "encoder_decoder": "image-feature-extraction",
    "segmentation": "image-segmentation",
}
_LICENCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def readme(card: Card) -> str:
    """The page of the weights: what they are and what they were trained on."""
    decoder = f" with decoder `{card.decoder['name']}`" if card.decoder else ""
    origin = card.run.get("origin")
    made = _imported(card, origin) if isinstance(origin, Mapping) else _trained(card)
    licence = [f"Licence of the weights: {card.licence}.", ""] if card.licence else []
    return "\n".join(
        [
            *_front_matter(card),
            f"# {card.content} `{card.backbone['name']}`{decoder}",
            "",
            *made,
            "",
            *licence,
            f"`{CARD}` holds the resolved config, versions and data fingerprints.",
            "",
        ]
    )


def _front_matter(card: Card) -> list[str]:
    """What the Hub reads, as YAML (of which JSON values are a part)."""
    table: dict[str, Any] = {
        "library_name": card.library,
        "pipeline_tag": _TASKS[card.content],
        "tags": ["ssl_registry", *([card.architecture] if card.library == "timm" else [])],
    }
    if card.licence and _LICENCE_NAME.fullmatch(card.licence):
        table["license"] = card.licence.lower()
    elif card.licence:
        table |= {"license": "other", "license_name": card.licence}
    return ["---", *(f"{key}: {json.dumps(value)}" for key, value in table.items()), "---", ""]


def _input(card: Card) -> str:
    images = f"{card.image_size}x{card.image_size} px images with {card.channels} channels, "
    if not any(card.mean) and set(card.std) == {1.0}:
        return f"{images}in [0, 1]."
    return (
        f"{images}normalised with mean {list(card.mean)} and standard deviation {list(card.std)}."
    )


def _trained(card: Card) -> list[str]:
    data = [
        f"- {item['name']}: {item['organ']}, {item['modality']}, licence {item['licence']}\n"
        f"  {item['citation']}"
        for item in data_used(card)
    ]
    data += [f"- weights of others, licence {licence}" for licence in licences_before(card)]
    steps = card.summary.get("steps", "?")
    # A program may take other images than those of the training.
    images = "on" if card.file == TENSORS else "of training. The program takes"
    made = f"Made by ssl_registry; {steps} steps {images} {_input(card)}"
    return [made, "", "Trained on:", *data]


def _imported(card: Card, origin: Mapping[str, Any]) -> list[str]:
    told = origin.get("notes")
    notes = [f"- {note}" for note in told] if isinstance(told, list | tuple) else []
    return [
        f"Brought in by ssl_registry from `{origin.get('file')}`, whose tensors are laid out as "
        f"{origin.get('layout')}; for {_input(card)}",
        *(["", "Notes:", *notes] if notes else []),
    ]
