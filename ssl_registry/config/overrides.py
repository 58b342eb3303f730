"""Overrides: `dotted.key=value` laid over a config table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ssl_registry.errors import ConfigError

_INSTEAD: Final = {"training": ("epochs", "steps"), "optimizer": ("warmup_epochs", "warmup_steps")}
"""By table, a setting and the other one that would take its place."""


def replaced_by(name: str, settings: Mapping[str, Any]) -> set[str]:
    """The settings of a table `name` that, left below `settings`, would take their place."""
    if name not in _INSTEAD:
        return set()
    key, other = _INSTEAD[name]
    return {other} if key in settings and other not in settings else set()


def apply_overrides(table: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `table` with each `dotted.key=value` set, in the order given.

    The value is read as TOML, or taken as text where it is none; without a value the key is
    removed, so that what a preset says, or the default, holds. A number in the key is a place in a
    list (`data.0.root=/images`), also in one that comes from a preset. A length in epochs
    replaces one in steps.

    Raises:
        ConfigError: An override is malformed or goes through something that is no table.
    """
    result = cast("dict[str, Any]", _copy(table))
    for override in overrides:
        key, equals, text = override.partition("=")
        keys = [part.strip() for part in key.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"override {override!r} is not of the form key=value")
        if text.strip():
            place = _place(result, keys[:-1], override)
            _set(place, keys, _value(text.strip()), override)
        elif _is_there(result, keys[:-1]):
            _remove(_place(result, keys[:-1], override), keys[-1], override)
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in value]
    return value


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _place(table: dict[str, Any], keys: Sequence[str], override: str) -> Any:
    """The table or list that the last key of an override is looked up in."""
    place: Any = table
    for key in keys:
        slot = _index(place, key, override) if isinstance(place, list) else key
        if not isinstance(place, list):
            place.setdefault(key, {})
        if isinstance(place[slot], str):
            # `backbone = "resnet18"` is short for a table with that name.
            place[slot] = {"name": place[slot]}
        place = place[slot]
        if not isinstance(place, (dict, list)):
            raise ConfigError(f"override {override!r}: {key!r} is a value, not a table")
    return place


def _is_there(table: Mapping[str, Any], keys: Sequence[str]) -> bool:
    """Whether there is anything that the last key of an override could be removed from."""
    place: Any = table
    for key in keys:
        if isinstance(place, Mapping):
            place = place.get(key)
        elif isinstance(place, list):
            return True  # a place that the list lacks is told
    return place is not None


def _set(place: Any, keys: Sequence[str], value: Any, override: str) -> None:
    key = keys[-1]
    if isinstance(place, list):
        place[_index(place, key, override)] = value
        return
    for hidden in replaced_by(keys[-2] if len(keys) > 1 else "", {key: value}):
        place.pop(hidden, None)
    place[key] = value


def _remove(place: Any, key: str, override: str) -> None:
    if isinstance(place, list):
        del place[_index(place, key, override)]
    else:
        place.pop(key, None)


def _index(place: list[Any], key: str, override: str) -> int:
    if not key.isdecimal() or int(key) >= len(place):
        raise ConfigError(f"override {override!r}: {key!r} is no place in a list of {len(place)}")
    return int(key)
