"""The base models of every config, and the field type that names a component.

Nothing here imports torch, so that listing and checking configs stays fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ssl_registry import registry
from ssl_registry.config.split import SplitConfig, laid_over
from ssl_registry.config.strict import StrictModel
from ssl_registry.errors import UserError


class ComponentConfig(StrictModel):
    """Settings of one component; a plugin subclasses it and gives `name` a default.

    `check_settings` are the settings under which `ssl_registry.testing` builds the component:
    values for what has no default, and narrow widths that make checking quick.
    """

    check_settings: ClassVar[Mapping[str, Any]] = {}

    name: str = Field(description="The component's registered name, or provider/name.")


class MethodConfig(ComponentConfig):
    """Settings of a pre-training method.

    `default_augmentation` names the augmentation component that a run uses when its config
    names none. A method for backbones of one kind, such as one that masks the tokens of a
    transformer, names in `check_backbone` a small one, as the table of a config would, for
    `ssl_registry.testing` to check it with; images have 32 px.
    """

    default_augmentation: ClassVar[str] = ""
    check_backbone: ClassVar[Mapping[str, Any]] = {}


class DatasetConfig(ComponentConfig):
    """Settings of a dataset: where it is, how it is split, and which parts are used.

    One with an official split sets `grouped` if its samples have groups, such as patients: then a
    split that somebody draws in its place keeps them together, unless `group_by` says otherwise.
    """

    grouped: ClassVar[bool] = False

    split: SplitConfig = Field(
        default_factory=SplitConfig, description="How samples are divided into train, val, test."
    )
    skip_unreadable: bool = Field(
        default=False,
        description="Leave out images that cannot be read (and name them) instead of stopping.",
    )
    weight: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="How much of a pre-training's epoch the dataset gets; see its `mixing`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _lay_split_over_default(cls, table: Any) -> Any:
        """Take what a table `split` leaves out from the dataset's own recipe."""
        changes = table.get("split") if isinstance(table, Mapping) else None
        if not isinstance(changes, Mapping):
            return table
        base = cls.model_fields["split"].get_default(call_default_factory=True)
        return {
            **table,
            "split": laid_over(base, changes, grouped=cls.grouped) if changes else base,
        }


@dataclass(frozen=True)
class ComponentField:
    """Field metadata: the value is the config of a component of `kind`.

    The validator takes a config object, a name, or a table with a `name`; it looks the model
    up by name, so only the chosen plugin's config module is imported. A table without a `name` is
    of the component `default`, where there is one.
    """

    kind: str
    default: str = ""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Wrap the field's own schema (used for ready-made configs) with the lookup."""

        def validate(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
            if isinstance(value, BaseModel):
                return inner(value)
            return self.model_of(value).model_validate(self._named(value))

        return core_schema.no_info_wrap_validator_function(validate, handler(source))

    def model_of(self, value: Any) -> type[ComponentConfig]:
        """The config model that `value` names; a pydantic error where it names none."""
        name = self._named(value).get("name")
        if not isinstance(name, str):
            raise PydanticCustomError(
                "component_name", "needs a name{known}", {"known": self._known()}
            )
        try:
            return registry.config_model(self.kind, name)
        except UserError as error:
            raise PydanticCustomError("component", "{message}", {"message": str(error)}) from error

    def _named(self, value: Any) -> Mapping[str, Any]:
        table = _as_table(value)
        return {"name": self.default, **table} if self.default else table

    def _known(self) -> str:
        names = ", ".join(f.component.name for f in registry.components(self.kind))
        return f": one of {names}" if names else ", but no plugin offers one"


def _as_table(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, Mapping):
        return value
    raise PydanticCustomError("component_type", "must be a name or a table with a name", {})


def component(kind: str, default: str = "") -> ComponentField:
    """Mark a field as the config of a component of `kind`, by default the one called `default`.

    Write `Annotated[SerializeAsAny[ComponentConfig], component("method")]`: without
    `SerializeAsAny` a subclass would be dumped as its base, and all run ids would be equal.
    """
    return ComponentField(kind, default)


def component_marker(field: FieldInfo) -> ComponentField | None:
    """What marks `field` as a component's config, also inside `tuple[...]` and `... | None`."""
    for marker in (*field.metadata, *_metadata(field.annotation)):
        if isinstance(marker, ComponentField):
            return marker
    return None


def _metadata(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for argument in getattr(annotation, "__args__", ()):
        yield from _metadata(argument)


__all__ = [
    "ComponentConfig",
    "ComponentField",
    "DatasetConfig",
    "MethodConfig",
    "StrictModel",
    "component",
    "component_marker",
]
