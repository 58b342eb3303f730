"""Presets: settings that plugins ship as TOML files, and that a config names and overrides.

A preset is a component of kind `preset`. Its file has a table `[pretrain]`, a table `[finetune]`
or both, each with the keys of such a config; a table may name further `preset`s to build upon.
A config that says `preset = "a"` or `preset = ["a", "b"]` is laid over `a`, then `b`, key by key:

- Tables are merged. A table with another `name` (another method, another optimizer) replaces what
  lies below, since its settings would not fit.
- Everything else, lists too, replaces what lies below. Only a table with numbers as keys changes
  single entries of a list: `data.0.root = "/images/busi"`.
- A length in epochs replaces one in steps that lies below, which would take its place: `epochs`
  and `steps`, `warmup_epochs` and `warmup_steps`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry import registry
from ssl_registry.config.overrides import replaced_by
from ssl_registry.errors import ConfigError, PluginError
from ssl_registry.registry import Found

SECTIONS: Final = ("pretrain", "finetune")
"""The tables a preset's file may have, one for each kind of config."""

KEY: Final = "preset"

_Place = tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """The part of a preset that is for one kind of config.

    Attributes:
        found: The preset, with its plugin.
        table: Its settings, without the presets it builds upon.
    """

    found: Found
    table: Mapping[str, Any]

    @property
    def origin(self) -> str:
        """Where the settings come from, for a message."""
        return f"preset {self.found.component.name!r} of plugin {self.found.plugin.name}"


class Merged:
    """Settings laid over each other, and for each of them where it comes from."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self._origins: dict[_Place, str] = {}

    def lay(self, table: Mapping[str, Any], origin: str = "") -> None:
        """Lay `table` over what there is.

        Raises:
            ConfigError: It changes an entry of a list that is not there.
        """
        self.table = self._over((), self.table, table, origin)

    def origin(self, place: Sequence[str]) -> str:
        """Where the setting at `place` comes from: a preset, or nothing for the config's own."""
        for end in range(len(place), 0, -1):
            if tuple(place[:end]) in self._origins:
                return self._origins[tuple(place[:end])]
        return ""

    def _over(self, place: _Place, below: Any, above: Any, origin: str) -> Any:
        lower, upper = _as_table(below), _as_table(above)
        if isinstance(below, str) and isinstance(above, str):
            return self._replaced(place, above, origin)
        if isinstance(below, list) and isinstance(above, Mapping) and _are_places(above):
            return self._in_list(place, below, above, origin)
        if lower is None or upper is None or _differ(lower, upper):
            return self._replaced(place, above, origin)
        hidden = replaced_by(place[-1] if place else "", upper)
        merged = {key: value for key, value in lower.items() if key not in hidden}
        for key, value in upper.items():
            inner = (*place, key)
            if key in merged:
                merged[key] = self._over(inner, merged[key], value, origin)
            else:
                merged[key] = self._replaced(inner, value, origin)
        return merged

    def _in_list(
        self, place: _Place, below: list[Any], above: Mapping[str, Any], origin: str
    ) -> list[Any]:
        entries = list(below)
        for key, value in above.items():
            if int(key) >= len(entries):
                raise ConfigError(
                    f"{'.'.join(place)}.{key}: there is no such place in the list of "
                    f"{len(entries)} that comes from {self.origin(place)}"
                )
            entries[int(key)] = self._over((*place, key), entries[int(key)], value, origin)
        return entries

    def _replaced(self, place: _Place, value: Any, origin: str) -> Any:
        inside = [known for known in self._origins if known[: len(place)] == place]
        for known in inside:
            del self._origins[known]
        self._origins[place] = origin
        return value


def _as_table(value: Any) -> Mapping[str, Any] | None:
    """A table, also where a name alone stands for one; None for anything else."""
    if isinstance(value, str):
        return {"name": value}
    return value if isinstance(value, Mapping) else None


def _differ(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether the tables are those of different components; a provider is not looked at."""
    names = [table.get("name") for table in (below, above)]
    plain = [name.rpartition("/")[2] for name in names if isinstance(name, str)]
    return len(plain) == 2 and plain[0] != plain[1]


def _are_places(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(str(key).isdecimal() for key in table)


def preset_names(value: Any) -> tuple[str, ...]:
    """The names that the key `preset` gives.

    Raises:
        ConfigError: It is neither a name nor a list of names.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ConfigError(f"must be a name or a list of names (got {value!r})")


def layers(names: Iterable[str], section: str) -> list[Layer]:
    """The named presets and those they build upon, in the order they are laid over each other.

    Args:
        names: Presets.
        section: One of `SECTIONS`, the kind of config.

    Raises:
        ComponentNotFoundError: There is no such preset; lists what there is.
        ComponentClashError: Several plugins offer one.
        ConfigError: A preset is not for this kind of config.
        PluginError: Its file cannot be read, or is no preset.
    """
    return [layer for name in names for layer in _layers(name, section, ())]


def _layers(name: str, section: str, upon: _Place) -> Iterator[Layer]:
    found, content = _read(name)
    if name in upon:
        raise PluginError(f"{found.described} builds upon itself: {' -> '.join((*upon, name))}")
    if section not in content:
        raise ConfigError(
            f"preset {name!r} is for another kind of config: it has settings for "
            f"{' and '.join(content)}, none for {section}"
        )
    table = dict(content[section])
    try:
        lower = preset_names(table.pop(KEY, ()))
    except ConfigError as error:
        raise PluginError(f"{found.described}: {section}.{KEY} {error}") from error
    for each in lower:
        yield from _layers(each, section, (*upon, name))
    yield Layer(found, table)


def _read(name: str) -> tuple[Found, dict[str, Any]]:
    """The preset and the content of its file, whose tables are known to be among `SECTIONS`."""
    found = registry.find("preset", name)
    where = f"{found.described}, file {found.component.factory.partition(':')[2]}"
    try:
        content = tomllib.loads(registry.resource("preset", name))
    except tomllib.TOMLDecodeError as error:
        raise PluginError(f"{where}, is not valid TOML: {error}") from error
    unfit = [
        key for key, table in content.items() if key not in SECTIONS or type(table) is not dict
    ]
    if unfit or not content:
        raise PluginError(
            f"{where}, is no preset: it must hold the table [pretrain], [finetune] or both, and "
            f"nothing else (found {', '.join(content) or 'nothing'})"
        )
    return found, content


def sections(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds of config that all of the presets are for; see `layers` for what it raises."""
    contents = [_read(name)[1] for name in names]
    return tuple(s for s in SECTIONS if all(s in content for content in contents))


def with_presets(table: Mapping[str, Any], section: str) -> Merged:
    """`table`, a config of kind `section`, laid over the presets that it names.

    The key `preset` becomes a tuple of names. See `layers` for what it raises.
    """
    names = preset_names(table.get(KEY, ()))
    merged = Merged()
    for layer in layers(names, section):
        merged.lay(layer.table, layer.origin)
    merged.lay({**table, KEY: names})
    return merged
