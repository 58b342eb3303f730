"""Discovery: entry points become records, each plugin on its own.

A plugin that cannot be used is listed as broken with its distribution, version and reason,
and hurts no other. A disabled plugin is not imported.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Literal

import pluggy

import ssl_registry
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
        reason: Why it is not `ok`, in one line; empty otherwise.
        advice: What to do about it, in one line; empty unless `broken`.
        api: The API number it states, once it was imported; None if that is no number.
        components: What it offers; empty unless `ok`.
        manager: Calls the hooks of this plugin alone; none unless `ok`.
    """

    name: str
    module: str
    distribution: str
    version: str
    status: Status
    reason: str = ""
    advice: str = ""
    api: int | None = None
    components: tuple[Component, ...] = ()
    manager: pluggy.PluginManager | None = None

    @property
    def provider(self) -> str:
        """`distribution:plugin`, which tells apart plugins of the same name."""
        return f"{self.distribution}:{self.name}"

    def answers_to(self, provider: str) -> bool:
        """Whether `provider` names this plugin: by its name, its distribution or both."""
        return provider in (self.name, self.distribution, self.provider)

    @property
    def file(self) -> str:
        """The file of its module, or that of the package it lies in; empty if there is none.

        Nothing is imported for it.
        """
        name = self.module.partition(":")[0].strip()
        module = sys.modules.get(name)
        if module is not None:
            return getattr(module, "__file__", None) or ""
        try:
            found = importlib.util.find_spec(name.partition(".")[0])
        except (ImportError, AttributeError, ValueError):
            return ""
        return (found.origin if found else None) or ""


@functools.cache
def plugins() -> tuple[PluginRecord, ...]:
    """All plugins that are installed, sorted by distribution and name."""
    disabled = disabled_names()
    found = sorted(_found(), key=lambda item: (item[0].distribution, item[0].name))
    return tuple(_examine(record, entry, disabled) for record, entry in found)


def _found() -> Iterator[tuple[PluginRecord, EntryPoint]]:
    """Every entry point of the group, with a record that says only where it comes from."""
    identities: dict[int, tuple[str, str]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if id(entry.dist) not in identities:
            identities[id(entry.dist)] = _identity(entry.dist)
        distribution, version = identities[id(entry.dist)]
        yield PluginRecord(entry.name, entry.value, distribution, version, "disabled"), entry


def _identity(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version; a damaged installation may have lost either."""
    if distribution is None:
        return "unknown", "unknown"
    # Its `metadata` would be parsed as an e-mail with all of its description, once a plugin.
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except ValueError:  # it is no UTF-8
        return "unknown", "unknown"
    heading = text.partition("\n\n")[0]
    given = dict(line.split(": ", 1) for line in heading.splitlines() if ": " in line)
    return given.get("Name", "unknown"), given.get("Version", "unknown")


def disabled_names() -> set[str]:
    """The plugins and distributions that the environment variable leaves out."""
    return {part.strip() for part in os.environ.get(DISABLE_VARIABLE, "").split(",")} - {""}


def _examine(record: PluginRecord, entry: EntryPoint, disabled: set[str]) -> PluginRecord:
    if any(record.answers_to(name) for name in disabled):
        return replace(record, reason=f"named in {DISABLE_VARIABLE}")
    try:
        # What a plugin prints while it is imported must not mix with our own output (--json).
        with contextlib.redirect_stdout(sys.stderr):
            manager, components = _load(entry)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises stays with it
        return replace(
            record,
            status="broken",
            reason=_reason(error),
            advice=_advice(error, entry),
            api=_stated_api(entry),
        )
    return replace(
        record, status="ok", components=components, manager=manager, api=_stated_api(entry)
    )


def _reason(error: BaseException) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, _ContractError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _advice(error: BaseException, entry: EntryPoint) -> str:
    """What to do about an error; late imports, because most often there is none."""
    try:
        from ssl_registry import plugin_advice

        if isinstance(error, _ApiError):
            return plugin_advice.advice_for_api(error.number, entry.dist)
        if isinstance(error, _ContractError):
            return plugin_advice.advice_for_contract(entry.dist)
        return plugin_advice.advice_for_error(error, entry.value, entry.dist)
    except Exception:  # damaged metadata of a foreign package, in ways nobody can list
        return ""


def _stated_api(entry: EntryPoint) -> int | None:
    """The API number of a plugin whose module was imported."""
    module = sys.modules.get(entry.value.partition(":")[0].strip())
    number = getattr(module, "SSL_REGISTRY_API", None)
    return number if isinstance(number, int) else None


class _ContractError(Exception):
    """The plugin can be imported but is not what the contract asks for."""


class _ApiError(_ContractError):
    """The plugin is written for another API than `API_VERSION`."""

    def __init__(self, message: str, number: object) -> None:
        super().__init__(message)
        self.number = number


class _Manager(pluggy.PluginManager):
    """Looks for hooks among public names alone, which halves the time that listing takes."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return None if name.startswith("_") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: object, name: str) -> pluggy.HookspecOpts | None:
        if name.startswith("_"):
            return None
        # pluggy names these objects more narrowly than it treats them.
        return super().parse_hookspec_opts(module_or_class, name)  # type: ignore[arg-type]


def _load(entry: EntryPoint) -> tuple[pluggy.PluginManager, tuple[Component, ...]]:
    module = entry.load()
    _check_api(getattr(module, "SSL_REGISTRY_API", None))
    manager = _Manager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(HookSpec)
    manager.register(module, entry.name)
    _check_hooks(manager, module)
    return manager, _components(manager)


def _check_api(number: object) -> None:
    if number is None:
        raise _ContractError(
            f"states no SSL_REGISTRY_API; set SSL_REGISTRY_API = {API_VERSION} in the module"
        )
    if number != API_VERSION:
        raise _ApiError(
            f"written for API {number!r}, this ssl-registry {ssl_registry.__version__} has API "
            f"{API_VERSION}",
            number,
        )


def _check_hooks(manager: pluggy.PluginManager, module: object) -> None:
    callers = manager.get_hookcallers(module)
    if not callers:
        raise _ContractError("implements no hook; mark ssl_registry_components() with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            known = ", ".join(name for name in vars(HookSpec) if not name.startswith("_"))
            raise _ContractError(f"there is no hook {caller.name!r}; the hooks are {known}")
    manager.check_pending()


def _components(manager: pluggy.PluginManager) -> tuple[Component, ...]:
    hook = manager.hook.ssl_registry_components
    answers = hook()
    if hook.get_hookimpls() and not answers:  # pluggy leaves out an answer of None
        raise _ContractError("ssl_registry_components() gave None, not Components")
    declared = tuple(item for items in answers for item in items)
    seen: set[tuple[str, str]] = set()
    for item in declared:
        if not isinstance(item, Component):
            raise _ContractError(
                f"ssl_registry_components() gave a {type(item).__name__}, not a Component"
            )
        if (item.kind, item.name) in seen:
            raise _ContractError(f"declares the {item.kind} {item.name!r} twice")
        seen.add((item.kind, item.name))
    return declared
