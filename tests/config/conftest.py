"""A plugin that is made up here, so that config tests depend on no real one."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SerializeAsAny, model_validator

from ssl_registry import registry
from ssl_registry.config.model import ComponentConfig, DatasetConfig, MethodConfig, component
from ssl_registry.config.strict import StrictModel
from ssl_registry.discovery import PluginRecord
from ssl_registry.spec import Component


class Momentum(StrictModel):
    start: float = Field(default=0.99, ge=0, lt=1)
    end: float = 1.0

    @model_validator(mode="after")
    def _rises(self) -> Momentum:
        if self.end < self.start:
            raise ValueError("end must not be below start")
        return self


class Contrast(MethodConfig):
    name: str = "contrast"
    temperature: float = Field(default=0.5, gt=0)
    momentum: Momentum = Field(default_factory=Momentum)
    queue: int | Literal["auto"] = "auto"


class Folder(DatasetConfig):
    name: str = "folder"
    root: Path
    masks: Literal["all", "first"] = "all"


class Stack(ComponentConfig):
    """A backbone made of another backbone."""

    name: str = "stack"
    inner: Annotated[SerializeAsAny[ComponentConfig], component("backbone")]


class Plain(ComponentConfig):
    name: str = "plain"
    width: int = Field(default=8, ge=1)


def _component(kind: str, name: str, config: str) -> Component:
    return Component(kind, name, "json:loads", f"made_up_configs:{config}")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Install the plugin; call the fixture to add another that offers `contrast` as well."""
    module = types.ModuleType("made_up_configs")
    for model in (Contrast, Folder, Stack, Plain):
        setattr(module, model.__name__, model)
    monkeypatch.setitem(sys.modules, "made_up_configs", module)
    parts = (
        _component("method", "contrast", "Contrast"),
        _component("method", "vanished", "Vanished"),
        _component("backbone", "plain", "Plain"),
        _component("backbone", "stack", "Stack"),
        _component("decoder", "plain", "Plain"),
        _component("dataset", "folder", "Folder"),
        _component("task", "supervised", "Plain"),
    )
    records = [PluginRecord("made", "m", "up", "1", "ok", components=parts)]
    monkeypatch.setattr(registry, "plugins", lambda: tuple(records))

    def add_clash() -> None:
        records.append(PluginRecord("other", "o", "off", "1", "ok", components=parts[:1]))

    return add_clash
