"""What pydantic found wrong with a config, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from ssl_registry.config.model import component_marker
from ssl_registry.errors import UserError
from ssl_registry.registry import suggest

# One sentence per type of pydantic error; `{...}` are filled from the error's context.
_SENTENCES = {
    "missing": "is missing",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "frozen_set_type": "must be a list",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "mapping_type": "must be a table",
    "model_attributes_type": "must be a table",
    "model_type": "must be a table",
    "multiple_of": "must be a multiple of {multiple_of}",
    "path_type": "must be a path",
    "set_type": "must be a list",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have {min_length} or more entries",
    "tuple_type": "must be a list",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "union_tag_not_found": "{discriminator} is missing",
}
_OURS = frozenset({"component", "component_name", "preset"})
_LONGEST = 60


def describe(
    model: type[BaseModel],
    table: Any,
    error: ValidationError,
    whence: Callable[[str], str] = lambda path: "",
) -> list[str]:
    """One line per mistake, `dotted.path: what is wrong`, in the order of the config's fields.

    Args:
        model: What `table` was validated as.
        table: What was validated.
        error: What pydantic says.
        whence: Where the setting at a dotted path comes from, if not from the table itself.
    """
    found: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        if _is_aftermath(detail):
            continue
        path, fields = _resolve(model, table, detail["loc"], detail["type"])
        sentences = found.setdefault(path, [])
        sentence = _sentence(detail, fields)
        if sentence not in sentences:
            sentences.append(sentence)
    # A field of several types has a complaint from each of them.
    lines = {path: " or ".join(sentences) for path, sentences in found.items()}
    for path in lines:
        origin = whence(path)
        lines[path] += f" [from {origin}]" if origin else ""
    return [f"{path}: {line}" if path else line for path, line in lines.items()]


def _is_aftermath(detail: ErrorDetails) -> bool:
    """Whether a list is called too short only because its entries have mistakes themselves."""
    entries, least = detail["input"], detail.get("ctx", {}).get("min_length", 0)
    return detail["type"] == "too_short" and len(entries) >= least


def _resolve(
    model: type[BaseModel], table: Any, location: Sequence[int | str], kind: str
) -> tuple[str, list[str]]:
    """The dotted path of `location`, and the field names of the model that its last key is in.

    pydantic mixes the names of a union's members into locations; these are left out.
    """
    here: type[BaseModel] | None = model
    field: FieldInfo | None = None
    path: list[str] = []
    fields: list[str] = []
    for place, part in enumerate(location):
        last = place == len(location) - 1
        known = here.model_fields if here else {}
        is_new = last and kind in ("missing", "extra_forbidden")
        if not (is_new or part in known or _contains(table, part)):
            continue
        path.append(str(part))
        fields = list(known)
        table = table[part] if _contains(table, part) else None
        field = known.get(part) if isinstance(part, str) else field
        here = _model_of(field, table) if field else None
    return ".".join(path), fields


def _contains(table: Any, part: int | str) -> bool:
    if isinstance(part, int):
        return isinstance(table, (list, tuple)) and part < len(table)
    return isinstance(table, Mapping) and part in table


def _model_of(field: FieldInfo, value: Any) -> type[BaseModel] | None:
    """The model that `value` of `field` was validated as, where one can be told."""
    if isinstance(value, (list, tuple)):
        return None
    marker = component_marker(field)
    if marker:
        try:
            return marker.model_of(value)
        except (UserError, PydanticCustomError):
            return None
    models = [part for part in _types(field.annotation) if issubclass(part, BaseModel)]
    if len(models) > 1 and isinstance(value, Mapping):
        models = [model for model in models if _is_tagged(model, value)]
    return models[0] if len(models) == 1 else None


def _is_tagged(model: type[BaseModel], value: Mapping[str, Any]) -> bool:
    """Whether `value` says by its `kind` that it is meant as `model`."""
    tag = model.model_fields.get("kind")
    return tag is not None and value.get("kind") == tag.default


def _types(annotation: Any) -> Iterable[type]:
    """The classes inside an annotation such as `tuple[Annotated[A, ...], ...] | None`."""
    if isinstance(annotation, type) and not getattr(annotation, "__args__", ()):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _types(argument)


def _sentence(detail: ErrorDetails, fields: list[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(str(detail["loc"][-1]), fields)
    if kind in _OURS or kind == "missing":
        return _SENTENCES.get(kind, detail["msg"])
    if kind in ("value_error", "assertion_error"):
        sentence = str(context.get("error", detail["msg"]))
    elif kind in _SENTENCES:
        sentence = _SENTENCES[kind].format(**context)
    else:
        sentence = detail["msg"].replace("Input should be", "must be")
    return sentence + _given(detail["input"])


def _unknown_key(key: str, fields: list[str]) -> str:
    near = suggest(key, fields)
    if near or not fields:
        return f"unknown key{near}"
    return f"unknown key; known keys: {', '.join(fields)}"


def _given(value: Any) -> str:
    """` (got ...)` for a value that is short enough to show, written as in TOML."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, (str, int, float)) or (isinstance(value, list) and value):
        text = repr(value)
    else:
        return ""
    return f" (got {text})" if len(text) <= _LONGEST else f" (got {text[:_LONGEST]}...)"
