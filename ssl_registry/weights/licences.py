"""Licences: what the weights' card says of its own and of the data behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ssl_registry.errors import WeightsError
from ssl_registry.weights.card import Card

MAX_LICENCE = 200
"""Longer names of licences are not taken."""

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?\s?commercial|research (use )?only", re.IGNORECASE)
_FACTS = ("name", "organ", "modality", "licence", "citation")


def data_used(card: Card) -> list[Mapping[str, Any]]:
    """What the card records of each dataset, those of the pre-training first.

    Raises:
        WeightsError: The record is damaged.
    """
    found = list(_records(card.run))
    for record in found:
        if not all(isinstance(record.get(fact), str) for fact in _FACTS):
            raise WeightsError(f"the card's list of data is damaged: {str(record)[:200]}")
    return found


def _records(run: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    earlier = run.get("pretraining")
    data = run.get("data", ())
    if not isinstance(data, Sequence) or not all(isinstance(item, Mapping) for item in data):
        raise WeightsError("the card's list of data is damaged: it is no list of tables")
    if isinstance(earlier, Mapping):
        yield from _records(earlier)
    yield from data


def licences_before(card: Card) -> list[str]:
    """The stated licences of the weights that training started from, the earliest first."""
    return list(_earlier_licences(card.run))


def _earlier_licences(run: Mapping[str, Any]) -> Iterator[str]:
    earlier = run.get("pretraining")
    if isinstance(earlier, Mapping):
        yield from _earlier_licences(earlier)
        if isinstance(earlier.get("licence"), str):
            yield earlier["licence"]


def non_commercial(licence: str) -> bool:
    """Whether a licence, by its name, forbids commercial use."""
    return _NON_COMMERCIAL.search(licence) is not None


def stated_licence(card: Card, given: str | None) -> str:
    """The licence under which weights are exported; it is never guessed.

    Args:
        card: The card of the weights.
        given: What their owner says, if asked.

    Raises:
        WeightsError: Nobody says it, or both do and differ.
    """
    if given is None:
        if card.licence is None:
            raise WeightsError(
                "nobody has said under which licence these weights are passed on; say it with "
                f"--licence, such as --licence CC-BY-4.0. {_data_licences(card)}"
            )
        return card.licence
    licence = given.strip()
    if not licence or len(licence) > MAX_LICENCE or not licence.isprintable():
        raise WeightsError(f"{given[:MAX_LICENCE]!r} is no name of a licence; give its SPDX name")
    if card.licence not in (None, licence):
        raise WeightsError(
            f"the card says that these weights are under {card.licence}; exporting them under "
            f"{licence} is for whoever made them, from the folder of the run"
        )
    return licence


def warnings_about(card: Card, licence: str) -> list[str]:
    """What to consider before weights under `licence` are passed on."""
    sources = [(item["name"], item["licence"]) for item in data_used(card)]
    sources += [("the weights it started from", earlier) for earlier in licences_before(card)]
    restricted = [f"{name} ({stated})" for name, stated in sources if non_commercial(stated)]
    if not restricted or non_commercial(licence):
        return []
    return [
        f"{', '.join(restricted)} may not be used commercially, and {licence} does not say so of "
        "the weights; make sure that the licences allow what you do"
    ]


def _data_licences(card: Card) -> str:
    data = data_used(card)
    if not data:
        return "The card names no data."
    return "The data are under: " + "; ".join(f"{d['name']}, {d['licence']}" for d in data)
