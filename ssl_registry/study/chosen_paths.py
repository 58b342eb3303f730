"""Paths that the axes of a study choose: they tell its runs apart.

A run's id leaves paths out, so that a study has the same ids wherever its data lie. Where two
values of an axis differ in a path alone, such as two folders of images or two files of a split,
they would be one run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl_registry.config.presets import KEY, preset_names, with_presets
from ssl_registry.config.run import RunConfig
from ssl_registry.config.study import StudyConfig

Place = tuple[str, ...]


def chosen_places(study: StudyConfig, section: str) -> frozenset[Place]:
    """The settings of one stage that any value of any axis sets; places in lists do not count.

    Args:
        study: The study.
        section: `pretrain` or `finetune`.
    """
    found: set[Place] = set()
    for values in study.axes.named().values():
        for variant in values.values():
            table = getattr(variant, section)
            names = preset_names(table.get(KEY, ()))
            found |= {place for place, _ in _leaves(with_presets({KEY: names}, section).table)}
            found |= {place for place, _ in _leaves(table)}
            found |= {
                ("data", *place) for own in variant.data.values() for place, _ in _leaves(own)
            }
    return frozenset(found)


def chosen_paths(config: RunConfig, places: frozenset[Place]) -> dict[str, str]:
    """By place in the config, what identifies each path that stands at one of `places`.

    That is a file's content, and else the path as it is written.
    """
    found: dict[str, str] = {}
    for place, value in _leaves(config.model_dump(mode="python")):
        if isinstance(value, Path) and place in places:
            # Several datasets have one place: all of them count, in their order.
            key = f"path {'.'.join(place)}"
            found[key] = "\n".join(filter(None, (found.get(key), _identity(value))))
    return found


def _identity(path: Path) -> str:
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return str(path)


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Each value in tables and lists, with the keys that lead to it but places in lists."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, place if str(key).isdecimal() else (*place, str(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item, place)
    else:
        yield place, value
