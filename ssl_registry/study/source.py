"""Reading a study: a file, or the name of one that a plugin ships; and those it includes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_registry import registry
from ssl_registry.config.load import apply_overrides, parse_toml, read_toml, validate
from ssl_registry.config.presets import Merged
from ssl_registry.config.study import StudyConfig
from ssl_registry.errors import ConfigError

_OVER_ALL = ("pretrain", "finetune", "data", "axes", "without", "published", "keep_weights")
"""What a study that includes others lays over each of them."""


@dataclass(frozen=True)
class Source:
    """A study as it was given.

    Attributes:
        name: What its folder is called by default.
        text: Its file, and the overrides as comments below it.
        config: What the file says, with the overrides.
        parts: By name, the studies it is made of; itself, unless it includes others.
    """

    name: str
    text: str
    config: StudyConfig
    parts: Mapping[str, StudyConfig]


def is_file(given: str) -> bool:
    """Whether `given` means a file rather than the name of a shipped study."""
    return given.endswith(".toml") or Path(given).is_file()


def name_of(given: str) -> str:
    """The name of the study that `given` means."""
    return Path(given).stem if is_file(given) else given.rpartition("/")[2]


def read_study(given: str, overrides: Sequence[str] = ()) -> Source:
    """Read a study.

    Args:
        given: A file, or the name of a component of kind `study`.
        overrides: `dotted.key=value`, laid over the file.

    Raises:
        ConfigError: It cannot be read, or has mistakes.
        ComponentNotFoundError: No plugin offers a study of that name; lists what there is.
    """
    text, table, origin = _read(given)
    table = apply_overrides(table, overrides)
    config = validate(StudyConfig, table, origin)
    name = name_of(given)
    parts = _parts(name, table, config, origin, (name,))
    return Source(name, _with_comments(text, overrides), config, parts)


def _with_comments(text: str, overrides: Sequence[str]) -> str:
    """A study's file with what was laid over it, so that it can be repeated."""
    if not overrides:
        return text
    lines = [f"# --set {' '.join(override.split())}" for override in overrides]
    return "\n".join((text.rstrip("\n"), "", "# Laid over this file:", *lines, ""))


def _read(given: str) -> tuple[str, dict[str, Any], str]:
    """The text of a study, the table in it, and where it is from."""
    if is_file(given):
        table = read_toml(Path(given))
        return Path(given).read_text(encoding="utf-8-sig"), table, given
    text, origin = registry.resource("study", given), f"study {given!r}"
    return text, parse_toml(text, origin), origin


def _parts(
    name: str, table: Mapping[str, Any], config: StudyConfig, origin: str, upon: tuple[str, ...]
) -> dict[str, StudyConfig]:
    if not config.include:
        return {name: config}
    parts: dict[str, StudyConfig] = {}
    over = {key: table[key] for key in _OVER_ALL if key in table}
    for given in config.include:
        inner_name = name_of(given)
        if inner_name in upon:
            raise ConfigError(f"{origin}: include goes round: {' -> '.join((*upon, inner_name))}")
        _, below, inner_origin = _read(given)
        merged = Merged()
        merged.lay(below)
        merged.lay(over)
        where = f"{inner_origin}, included by {origin}"
        inner = validate(StudyConfig, merged.table, where)
        found = _parts(inner_name, merged.table, inner, where, (*upon, inner_name))
        for name in found.keys() & parts.keys():
            if found[name] != parts[name]:
                raise ConfigError(
                    f"{origin}: include brings two studies called {name!r}; rename a file, since "
                    "the table tells studies apart by their names"
                )
        parts |= found
    return parts
