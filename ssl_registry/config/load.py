"""From a TOML file and `key=value` overrides to a validated config, or one clear error."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ssl_registry.config.model import ComponentField
from ssl_registry.errors import ConfigError, UserError
from ssl_registry.registry import suggest

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: It is not there, not readable, or not TOML; says where it is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the config {path}: {reason}") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Parse TOML that came from `origin`, which names it in an error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin} is not valid TOML: {error}") from error


def apply_overrides(table: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `table` with each `dotted.key=value` set.

    The value is read as TOML, or taken as a string where it is none; a number in the key is a
    place in a list (`data.0.root=/images`).

    Raises:
        ConfigError: An override is malformed or goes through something that is no table.
    """
    result = cast("dict[str, Any]", _copy(table))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {override!r} is not of the form key=value")
        _set(result, key.strip().split("."), _toml_value(text.strip()), override)
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(table: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    place: Any = table
    for key in keys[:-1]:
        if isinstance(place, list):
            place = place[_index(place, key, override)]
        else:
            if isinstance(place.get(key), str):
                # `backbone = "resnet18"` is short for a table with that name.
                place[key] = {"name": place[key]}
            place = place.setdefault(key, {})
        if not isinstance(place, (dict, list)):
            raise ConfigError(f"override {override!r}: {key} is a value, not a table")
    if isinstance(place, list):
        place[_index(place, keys[-1], override)] = value
    else:
        place[keys[-1]] = value


def _index(place: list[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(place):
        raise ConfigError(f"override {override!r}: {key!r} is no place in a list of {len(place)}")
    return int(key)


def validate(model: type[Model], table: Mapping[str, Any], origin: str) -> Model:
    """Validate `table` as `model`; all mistakes are reported at once.

    Raises:
        ConfigError: With one line per mistake: its dotted path, what is wrong, a near name.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        lines = [_line(model, table, detail) for detail in error.errors()]
        head = f"{origin} has {len(lines)} mistake{'s' if len(lines) > 1 else ''}:"
        raise ConfigError("\n  ".join([head, *lines])) from error


def load(model: type[Model], path: Path, overrides: Sequence[str] = ()) -> Model:
    """Read, override and validate a config file; relative paths are kept as written."""
    return validate(model, apply_overrides(read_toml(path), overrides), str(path))


def _line(model: type[BaseModel], table: Mapping[str, Any], detail: ErrorDetails) -> str:
    location = ".".join(str(part) for part in detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        fields = _fields_at(model, table, detail["loc"][:-1])
        message = "unknown key" + suggest(str(detail["loc"][-1]), fields)
        if fields and "did you mean" not in message:
            message += f"; known keys: {', '.join(fields)}"
    elif detail["type"] not in ("missing", "component", "component_name"):
        message += f" (got {detail['input']!r})"
    return f"{location}: {message}" if location else message


def _fields_at(model: type[BaseModel], table: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields that the model at `location` has, as far as can be known."""
    here: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return []
        if isinstance(part, str):
            field = here.model_fields.get(part) if here else None
        here = _model_of(field, table) if field else None
    return list(here.model_fields) if here else []


def _model_of(field: FieldInfo, value: Any) -> type[BaseModel] | None:
    for marker in (*field.metadata, *_markers(field.annotation)):
        if isinstance(marker, ComponentField):
            if isinstance(value, list):
                return None
            try:
                return marker.model_of(value)
            except (UserError, ValueError):
                return None
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _markers(annotation: Any) -> list[Any]:
    """The metadata inside `tuple[Annotated[...], ...]` and `Annotated[...] | None`."""
    found = list(getattr(annotation, "__metadata__", ()))
    for argument in getattr(annotation, "__args__", ()):
        found.extend(_markers(argument))
    return found
