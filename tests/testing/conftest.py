"""Components made up by a test, offered as a plugin would, and what the kit finds wrong."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from ssl_registry import Component, ComponentConfig, DatasetConfig, PluginRecord
from ssl_registry.registry import Found
from ssl_registry.testing import run_checks
from ssl_registry.testing.collect import checks_of_component

MODULE = "made_up_component"
PROCESSES = "two_processes"


class MadeUpConfig(ComponentConfig):
    """Settings of a made-up component."""

    name: str = "made_up"


class MadeUpDatasetConfig(DatasetConfig):
    """Settings of a made-up dataset."""

    name: str = "made_up"


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Give what fails, name to problem, of a component with this factory and config."""

    def run(kind: str, factory: Any, config: type[ComponentConfig] | None = None) -> dict[str, str]:
        module = types.ModuleType(MODULE)
        default = MadeUpDatasetConfig if kind == "dataset" else MadeUpConfig
        vars(module).update(Factory=factory, Config=config or default)
        monkeypatch.setitem(sys.modules, MODULE, module)
        component = Component(kind, "made_up", f"{MODULE}:Factory", f"{MODULE}:Config")
        plugin = PluginRecord("made_up", MODULE, "made-up", "1.0", "ok", components=(component,))
        # New processes could not import it; that check has a test of its own.
        checks = (c for c in checks_of_component(Found(component, plugin)) if c.name != PROCESSES)
        results = run_checks(checks)
        return {result.check.name: result.problem for result in results if not result.passed}

    return run
