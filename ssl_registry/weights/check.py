"""Whether an exchange folder is whole: digests, licences, and whether it loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file

from ssl_registry.errors import UserError
from ssl_registry.files import read_json
from ssl_registry.weights.card import TENSORS, Card, read_card
from ssl_registry.weights.licences import data_used, warnings_about
from ssl_registry.weights.networks import network_of, trunk_of
from ssl_registry.weights.read import Weights
from ssl_registry.weights.tensors import check_exportable, content_digest, file_digest
from ssl_registry.weights.write import SQUASHED, library_config

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        subject: What was looked at.
        state: `ok`, `note` for what is worth knowing, `wrong` for what must not be.
        detail: In words.
    """

    subject: str
    state: State
    detail: str


def check_folder(folder: Path) -> list[Finding]:
    """Look at everything in an exchange folder; mistakes are found, not raised."""
    try:
        card = read_card(folder)
    except UserError as error:
        return [Finding("card", "wrong", str(error))]
    findings = [Finding("card", "ok", f"{card.content}, {card.architecture or 'unnamed'}")]
    findings.append(_file(folder, card))
    if findings[-1].state == "ok" and card.file == TENSORS:
        findings += _tensors(folder, card)
    elif findings[-1].state == "ok":
        findings.append(Finding("loads", "note", f"not tried: it is a program for {card.library}"))
    return [*findings, *_licences(card)]


def _file(folder: Path, card: Card) -> Finding:
    digest = file_digest(folder / card.file)
    if digest != card.sha256:
        said = f"sha256 {digest[:12]}..., the card says {card.sha256[:12]}..."
        return Finding("file", "wrong", f"{card.file} was damaged or exchanged: {said}")
    return Finding("file", "ok", f"{card.file}, sha256 {digest[:12]}...")


def _tensors(folder: Path, card: Card) -> list[Finding]:
    try:
        weights = Weights(folder, card, load_file(folder / TENSORS))
        check_exportable(weights.tensors)
    except (SafetensorError, UserError) as error:
        return [Finding("tensors", "wrong", str(error))]
    findings = [_content(weights)]
    if card.target is not None:
        note = f"not tried: it is laid out for {card.target}"
        return [*findings, Finding("loads", "note", note)]
    try:
        network = network_of(weights) if card.content == "segmentation" else trunk_of(weights)
    except UserError as error:
        return [*findings, Finding("loads", "wrong", str(error))]
    findings.append(Finding("loads", "ok", f"{len(weights.tensors)} tensors fit their network"))
    if card.library == "timm":
        findings.append(_config(folder, card, library_config(network.backbone, card)))
    return findings


def _content(weights: Weights) -> Finding:
    if not weights.card.digest:
        return Finding("content", "note", "the card has no digest of the tensors themselves")
    digest = content_digest(weights.tensors)
    if digest != weights.card.digest:
        said = f"{digest[:12]}..., the card says {weights.card.digest[:12]}..."
        return Finding("content", "wrong", f"the tensors are others than the card's: {said}")
    return Finding("content", "ok", f"{len(weights.tensors)} tensors, digest {digest[:12]}...")


def _config(folder: Path, card: Card, expected: dict[str, Any]) -> Finding:
    """Whether `config.json`, which no digest protects, says what the card says."""
    try:
        found = read_json(folder / "config.json")
    except (UserError, RecursionError) as error:
        return Finding("config.json", "wrong", str(error))
    if not isinstance(found, dict) or not isinstance(found.get("pretrained_cfg"), dict):
        return Finding("config.json", "wrong", "it is not what timm reads")
    theirs, ours = found["pretrained_cfg"], expected["pretrained_cfg"]
    # Older folders do not say how images are resized.
    keys = ["input_size", "mean", "std", *(k for k in SQUASHED if k in theirs and k in ours)]
    differing = [f"pretrained_cfg.{key}" for key in keys if theirs.get(key) != ours[key]]
    differing += [k for k in ("architecture", "model_args") if found.get(k) != expected.get(k)]
    if differing:
        return Finding("config.json", "wrong", f"differs from the card: {', '.join(differing)}")
    return Finding("config.json", "ok", f"timm builds {card.architecture}")


def _licences(card: Card) -> list[Finding]:
    try:
        data = data_used(card)
        warnings = warnings_about(card, card.licence) if card.licence else []
    except UserError as error:
        return [Finding("data", "wrong", str(error))]
    if card.licence is None:
        stated = Finding("licence", "note", "none is stated; it is asked for at export")
    else:
        stated = Finding("licence", "ok", card.licence)
    findings = [stated, *(Finding("licence", "note", warning) for warning in warnings)]
    findings += [Finding("data", "ok", f"{item['name']}: {item['licence']}") for item in data]
    return findings if data else [*findings, Finding("data", "note", "the card names none")]
