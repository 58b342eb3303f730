"""The settings of a config model as rows of text: key, type, default, description."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ssl_registry.config.model import component_marker

_NAMES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    type(None): "nothing",
    Any: "anything",
}
_LIMITS = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}"}


def settings(
    model: type[BaseModel], prefix: str = "", given: BaseModel | None = None
) -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and description of each field; those of nested models are dotted.

    Args:
        model: The config model.
        prefix: What its keys begin with.
        given: What the model's table is by default, where it is one in another table.
    """
    for key, field in model.model_fields.items():
        annotation = field.annotation
        if component_marker(field) is None and _is_model(annotation):
            inner = getattr(given, key) if given else _default_value(field)
            nested = inner if isinstance(inner, BaseModel) else None
            yield from settings(annotation, f"{prefix}{key}.", nested)
        else:
            default = _written(getattr(given, key)) if given else _default(field)
            yield f"{prefix}{key}", _type(field), default, _description(model, key)


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _description(model: type[BaseModel], key: str) -> str:
    """That of the field, or of the field it redefines (`name: str = "busi"`)."""
    for base in model.__mro__:
        if issubclass(base, BaseModel) and base is not BaseModel:
            field = base.model_fields.get(key)
            if field is not None and field.description:
                return field.description
    return ""


def _type(field: FieldInfo) -> str:
    marker = component_marker(field)
    if marker:
        several = get_origin(field.annotation) is tuple
        return f"[{marker.kind}, ...]" if several else marker.kind
    return _named(field.annotation) + "".join(_limits(field))


def _named(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _named(arguments[0])
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_named(argument) for argument in arguments if argument is not type(None))
    if origin in (tuple, list, set, frozenset):
        more = () if origin is tuple else ("...",)
        inner = ("..." if item is Ellipsis else _named(item) for item in arguments)
        return f"[{', '.join((*inner, *more))}]"
    if annotation in _NAMES:
        return _NAMES[annotation]
    if isinstance(origin, type):
        return "table"
    return str(getattr(annotation, "__name__", annotation))


def _limits(field: FieldInfo) -> Iterator[str]:
    for constraint in field.metadata:
        for name, text in _LIMITS.items():
            if getattr(constraint, name, None) is not None:
                yield ", " + text.format(getattr(constraint, name))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = _default_value(field)
    return "" if value is PydanticUndefined else _written(value)


def _default_value(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _written(value: Any) -> str:
    """A default as it would be written in a TOML file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list, set, frozenset)):
        return f"[{', '.join(_written(item) for item in value)}]"
    if isinstance(value, BaseModel):
        return str(getattr(value, "name", type(value).__name__))
    return f'"{value}"' if isinstance(value, (str, Path)) else str(value)
