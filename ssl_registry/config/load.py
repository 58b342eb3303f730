"""From a TOML file and `key=value` overrides to a validated config, or one clear error."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ssl_registry.config.mistakes import describe
from ssl_registry.config.model import ComponentConfig, component_marker
from ssl_registry.config.overrides import apply_overrides
from ssl_registry.config.presets import Merged, with_presets
from ssl_registry.config.run import RunConfig
from ssl_registry.errors import ConfigError, UserError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: It is not there, not readable, or not TOML; says where it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the config {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot read the config {path}: it is no UTF-8 text") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Parse TOML that came from `origin`, which names it in an error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error


def validate(model: type[Model], table: Mapping[str, Any], origin: str) -> Model:
    """Validate `table` as `model`; all mistakes are reported at once.

    Raises:
        ConfigError: With one line per mistake: its dotted path, what is wrong, a near name.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        merged, whence = _traced(model, table)
        mistakes = describe(model, merged, error, whence)
    if len(mistakes) == 1:
        raise ConfigError(f"{origin}: {mistakes[0]}")
    raise ConfigError("\n  ".join([f"{origin} has {len(mistakes)} mistakes:", *mistakes]))


def _traced(
    model: type[BaseModel], table: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Callable[[str], str]]:
    """The table with its presets, and where the setting at a dotted path comes from."""
    parts: dict[str, Merged] = {}
    if issubclass(model, RunConfig):
        parts[""] = _merged(model, table)
    else:
        for key, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, RunConfig) and key in table:
                parts[key] = _merged(inner, table[key])

    def whence(path: str) -> str:
        for key, part in parts.items():
            prefix = f"{key}." if key else ""
            if path.startswith(prefix):
                return part.origin(path.removeprefix(prefix).split("."))
        return ""

    whole = dict(parts[""].table if "" in parts else table)
    return {**whole, **{key: part.table for key, part in parts.items() if key}}, whence


def _merged(model: type[RunConfig], table: Any) -> Merged:
    merged = Merged()
    if isinstance(table, Mapping):
        try:
            return with_presets(table, model.section)
        except UserError:
            merged.lay(table)  # the mistake to be told is in the presets
    return merged


def load(model: type[Model], path: Path, overrides: Sequence[str] = ()) -> Model:
    """Read, override and validate a config file; relative paths are kept as written."""
    return validate(model, apply_overrides(read_toml(path), overrides), str(path))


def component_kinds(config: BaseModel) -> Iterator[tuple[str, ComponentConfig]]:
    """The kind and config of each component that `config` names, in the order of its fields."""
    for name, field in type(config).model_fields.items():
        marker = component_marker(field)
        value = getattr(config, name)
        for item in value if isinstance(value, tuple) else (value,):
            if marker and isinstance(item, ComponentConfig):
                yield marker.kind, item
            if isinstance(item, BaseModel):
                yield from component_kinds(item)


__all__ = [
    "apply_overrides",
    "component_kinds",
    "load",
    "parse_toml",
    "read_toml",
    "validate",
]
