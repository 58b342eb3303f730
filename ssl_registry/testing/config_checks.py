"""What the settings of every component are held to."""

from __future__ import annotations

import json

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from ssl_registry.build import BUILD_ARGUMENTS
from ssl_registry.testing.check import Rule, require
from ssl_registry.testing.subject import Subject

_STRANGER = "a_setting_that_nobody_has"


def _defaults(subject: Subject) -> None:
    fields = subject.model.model_fields
    without = [
        name
        for name, field in fields.items()
        if field.is_required() and name not in subject.settings
    ]
    require(not without, f"{', '.join(without)}: no default")
    default = fields["name"].default
    told = "none" if default is PydanticUndefined else repr(default)
    require(default == subject.name, f"the default of `name` is {told}, not {subject.name!r}")
    subject.config()


def _descriptions(subject: Subject) -> None:
    fields = subject.model.model_fields
    without = [name for name, field in fields.items() if not field.description and name != "name"]
    require(not without, f"{', '.join(without)}: no description")
    require(bool(subject.model.__doc__), "the config class has no docstring")


def _strict(subject: Subject) -> None:
    config = subject.config()
    require(bool(config.model_config.get("frozen")), "its config can be changed once it is built")
    try:
        subject.model.model_validate({**config.model_dump(), _STRANGER: 1})
    except ValidationError:
        return
    require(False, "an unknown setting is taken without an error")


def _json(subject: Subject) -> None:
    config = subject.config()
    text = config.model_dump_json()
    again = subject.model.model_validate(json.loads(text))
    require(again == config, f"{text} is read back as {again!r}")


def _build_arguments(subject: Subject) -> None:
    taken = BUILD_ARGUMENTS.get(subject.found.component.kind, ())
    clashing = [name for name in subject.model.model_fields if name in taken]
    require(not clashing, f"{', '.join(clashing)}: what the component is built from besides")


CONFIG_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        "defaults",
        "Every setting has a default, and `name` that of the component.",
        "Give each field a default (`name: str = ...` that of the component); where none makes "
        "sense, a value to check the component with in `check_settings`.",
        _defaults,
    ),
    Rule(
        "descriptions",
        "Every setting says what it is.",
        "Write `Field(description=...)` with unit and range; it becomes the reference.",
        _descriptions,
    ),
    Rule(
        "strict",
        "Unknown settings are refused, and a config cannot be changed.",
        "Leave `extra` and `frozen` of the model's config as ComponentConfig has them.",
        _strict,
    ),
    Rule(
        "json",
        "A config survives JSON, so that runs can be repeated and told apart.",
        "Use plain types, and `SerializeAsAny` around the configs of other components.",
        _json,
    ),
    Rule(
        "build_arguments",
        "No setting has the name of what the component is built from.",
        "Rename the field; `ssl_registry.create` could not tell the two apart.",
        _build_arguments,
    ),
)
