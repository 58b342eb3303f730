"""Discovery: entry points become records, each plugin on its own.

A plugin that cannot be used is listed as broken with its distribution, version and reason,
and hurts no other. A disabled plugin is not imported.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Literal

import pluggy

from ssl_registry.spec import API_VERSION, ENTRY_POINT_GROUP, Component, HookSpec

DISABLE_VARIABLE = "SSL_REGISTRY_DISABLE"

Status = Literal["ok", "broken", "disabled"]


@dataclass(frozen=True)
class PluginRecord:
    """What discovery found out about one entry point.

    Attributes:
        name: The entry point's name.
        module: The module it points to.
        distribution: The distribution that declares it, and its `version`.
        status: `ok`, `broken` or `disabled`.
        reason: Why it is not `ok`; empty otherwise.
        components: What it offers; empty unless `ok`.
    """

    name: str
    module: str
    distribution: str
    version: str
    status: Status
    reason: str = ""
    components: tuple[Component, ...] = ()
    manager: pluggy.PluginManager | None = None

    @property
    def provider(self) -> str:
        """`distribution:plugin`, which tells apart plugins of the same name."""
        return f"{self.distribution}:{self.name}"

    def answers_to(self, provider: str) -> bool:
        """Whether `provider` names this plugin: by its name, its distribution or both."""
        return provider in (self.name, self.distribution, self.provider)


@functools.cache
def plugins() -> tuple[PluginRecord, ...]:
    """All plugins that are installed, sorted by distribution and name."""
    found = sorted(_entry_points(), key=lambda entry: (_distribution(entry)[0], entry.name))
    return tuple(_record(entry) for entry in found)


def _entry_points() -> Iterator[EntryPoint]:
    seen: set[tuple[str, str, str]] = set()
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        # An editable install seen from its own folder is found twice.
        key = (_distribution(entry)[0], entry.name, entry.value)
        if key not in seen:
            seen.add(key)
            yield entry


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return "unknown", "unknown"
    return entry.dist.name, entry.dist.version


def _disabled() -> set[str]:
    return {part.strip() for part in os.environ.get(DISABLE_VARIABLE, "").split(",")} - {""}


def _record(entry: EntryPoint) -> PluginRecord:
    distribution, version = _distribution(entry)
    record = PluginRecord(entry.name, entry.value, distribution, version, "disabled")
    if any(record.answers_to(name) for name in _disabled()):
        return _with(record, reason=f"named in {DISABLE_VARIABLE}")
    try:
        manager, components = _load(entry)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises stays with it
        return _with(record, status="broken", reason=f"{type(error).__name__}: {error}")
    return _with(record, status="ok", components=components, manager=manager)


def _with(record: PluginRecord, **changes: Any) -> PluginRecord:
    return PluginRecord(**{**record.__dict__, **changes})


def _load(entry: EntryPoint) -> tuple[pluggy.PluginManager, tuple[Component, ...]]:
    module: ModuleType = entry.load()
    number = getattr(module, "SSL_REGISTRY_API", None)
    if number != API_VERSION:
        raise _WrongApiError(_api_message(number))
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(HookSpec)
    manager.register(module, entry.name)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        raise pluggy.PluginValidationError(
            module, "implements no hook; mark ssl_registry_components() with @hookimpl"
        )
    return manager, _components(manager, entry.name)


def _components(manager: pluggy.PluginManager, name: str) -> tuple[Component, ...]:
    declared = [item for items in manager.hook.ssl_registry_components() for item in items]
    seen: set[tuple[str, str]] = set()
    for item in declared:
        if not isinstance(item, Component):
            raise TypeError(
                f"ssl_registry_components() of {name} gave a {type(item).__name__}, "
                "not a Component"
            )
        if (item.kind, item.name) in seen:
            raise ValueError(f"{item.kind} {item.name!r} is declared twice in {name}")
        seen.add((item.kind, item.name))
    return tuple(declared)


class _WrongApiError(Exception):
    """The plugin was written for another API number."""


def _api_message(number: object) -> str:
    if number is None:
        return f"states no SSL_REGISTRY_API; set SSL_REGISTRY_API = {API_VERSION} in the module"
    newer = isinstance(number, int) and number > API_VERSION
    advice = "upgrade ssl-registry" if newer else "install a newer release of the plugin"
    return f"written for API {number}, this ssl-registry has API {API_VERSION}: {advice}"
