"""From the name of a plugin or distribution to its checks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from ssl_registry.discovery import PluginRecord
from ssl_registry.registry import Found, plugins_called
from ssl_registry.testing.check import Check, Rule
from ssl_registry.testing.config_checks import CONFIG_RULES
from ssl_registry.testing.plugin_checks import LOADS, PLUGIN_RULES
from ssl_registry.testing.subject import Subject

# Each module has `RULES` and the `subject` that they take; most import torch.
_MODULES = {
    "method": "method_checks",
    "backbone": "backbone_checks",
    "decoder": "decoder_checks",
    "augmentation": "augmentation_checks",
    "dataset": "dataset_checks",
    "task": "task_checks",
    "preset": "file_checks",
    "experiment": "file_checks",
    "study": "file_checks",
    "published": "file_checks",
}


def collect_checks(provider: str) -> tuple[Check, ...]:
    """All checks of a plugin, or of all plugins of a distribution.

    Args:
        provider: Name of the distribution, the plugin, or both as `distribution:plugin`.

    Raises:
        PluginError: Nothing of that name is installed; lists what is.
    """
    return tuple(check for record in plugins_called(provider) for check in checks_of(record))


def checks_of(record: PluginRecord) -> Iterator[Check]:
    """The checks of one plugin: of itself, then of each of its components."""
    rules = PLUGIN_RULES if record.status == "ok" else (LOADS,)
    for rule in rules:
        yield rule.of(record, record.provider, "plugin", record.name)
    for component in record.components:
        yield from checks_of_component(Found(component, record))


def checks_of_component(found: Found) -> Iterator[Check]:
    """The checks of one component: of its config, then those of its kind."""
    kind, name, plugin = found.component.kind, found.component.name, found.plugin.provider
    if found.component.config:
        for rule in CONFIG_RULES:
            yield rule.of(Subject(found), plugin, kind, name)
    if kind in _MODULES:
        module = importlib.import_module(f"ssl_registry.testing.{_MODULES[kind]}")
        subject = module.subject(found)
        rules: tuple[Rule[Any], ...] = module.RULES
        for each in rules:
            yield each.of(subject, plugin, kind, name)
