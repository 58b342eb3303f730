"""`ssl-registry weights show`: the card of weights, without loading them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.weights.card import Card

folder_argument = click.argument("folder", type=click.Path(path_type=Path))
_COUNTABLE = 10**15
"""No run has so many steps, and longer numbers are not to be formatted."""

json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable: JSON.")


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry weights show runs/pretrain-ID/weights
                   ssl-registry weights show runs/pretrain-ID/weights --json
        """
    )
)
@folder_argument
@json_option
def show(folder: Path, as_json: bool) -> None:
    """Say what the weights in FOLDER are, and where they come from."""
    from ssl_registry.weights.card import read_card

    card = read_card(folder)
    if as_json:
        click.echo(json.dumps({**card.model_dump(mode="json"), **_counted(folder, card)}, indent=2))
        return
    click.echo(folder)
    click.echo(align(_facts(folder, card), indent="  "))
    for head, rows in _tables(card.run):
        click.echo()
        click.echo(align([head, *rows], indent="  "))


def _facts(folder: Path, card: Card) -> list[tuple[str, str]]:
    counted = _counted(folder, card)
    gray = ", gray images repeated" if card.gray and card.channels == 3 else ""
    facts = [
        ("content", card.content.replace("_", " and ")),
        ("architecture", f"{card.architecture or 'unnamed'} ({card.library})"),
        ("images", f"{card.channels} x {card.image_size} x {card.image_size} px{gray}"),
        ("mean", ", ".join(map(str, card.mean))),
        ("std", ", ".join(map(str, card.std))),
        *([("classes", ", ".join(card.classes))] if card.classes else []),
        ("made by", _made_by(card)),
        ("licence", card.licence or "none stated; it is asked for at export"),
        *[(name, f"{value:,}") for name, value in counted.items()],
        ("file", card.file + (f", laid out for {card.target}" if card.target else "")),
        ("sha256", card.sha256),
        ("digest", card.digest or "-"),
    ]
    if card.exported_from:
        facts.append(("exported from", card.exported_from))
    return facts


def _made_by(card: Card) -> str:
    """The run, and how long it took, as far as the card says so."""
    run, summary = card.run, card.summary
    words = [str(run[key]) for key in ("kind", "id") if key in run]
    counts = [
        f"{summary[key]:.10g} {key}"
        for key in ("steps", "epochs")
        if isinstance(summary.get(key), (int, float)) and abs(summary[key]) < _COUNTABLE
    ]
    origin = run.get("origin")
    if isinstance(origin, Mapping):
        words.append(f"imported from {origin.get('file', '?')}")
    return ", ".join([" ".join(words) or "unknown", *counts])


def _counted(folder: Path, card: Card) -> dict[str, int]:
    """How many tensors and numbers, read from the file's header alone."""
    from ssl_registry.errors import WeightsError
    from ssl_registry.weights.card import TENSORS

    if card.file != TENSORS:
        return {}
    from math import prod

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / TENSORS, framework="numpy") as opened:
            names = opened.keys()
            sizes = [prod(opened.get_slice(name).get_shape()) for name in names]
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{folder / TENSORS} is no safetensors file: {error}") from error
    return {"tensors": len(sizes), "numbers": sum(sizes)}


def _tables(run: Mapping[str, Any]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Data and components, those of the pre-training first."""
    earlier = run.get("pretraining")
    tables = _tables(earlier) if isinstance(earlier, Mapping) else []
    for key, columns in (
        ("data", ("name", "organ", "modality", "licence", "fingerprint")),
        ("components", ("kind", "name", "distribution", "version")),
    ):
        items = run.get(key)
        if isinstance(items, Sequence) and not isinstance(items, str):
            found = [item for item in items if isinstance(item, Mapping)]
            rows = [tuple(str(item.get(column, "-")) for column in columns) for item in found]
            if rows:
                tables.append((tuple(column.upper() for column in columns), rows))
    return tables
