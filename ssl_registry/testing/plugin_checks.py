"""What a plugin as a whole is held to: it loads, stays light, and keeps what it declares."""

from __future__ import annotations

from ssl_registry import registry
from ssl_registry.discovery import PluginRecord, plugins
from ssl_registry.errors import UserError
from ssl_registry.registry import Found
from ssl_registry.spec import FILE_KINDS
from ssl_registry.testing.check import CheckFailure, Rule, require
from ssl_registry.testing.light import heavy_import


def _loads(record: PluginRecord) -> None:
    told = f"{record.reason}; {record.advice}" if record.advice else record.reason
    require(record.status == "ok", f"it is {record.status}: {told}")


def _light(record: PluginRecord) -> None:
    configs = [item.config.partition(":")[0] for item in record.components if item.config]
    found = heavy_import(record.module, tuple(dict.fromkeys(configs)))
    if found is not None:
        raise CheckFailure(str(found))


def _targets(record: PluginRecord) -> None:
    problems = []
    for component in record.components:
        found = Found(component, record)
        try:
            if component.kind in FILE_KINDS:
                registry.resource(component.kind, f"{record.provider}/{component.name}")
                continue
            factory = registry.load_target(component.factory, found)
            require(callable(factory), f"{component.factory} cannot be called")
            registry.model_of(found)
        except UserError as error:
            problems.append(str(error))
    require(not problems, "; ".join(problems))


def _names(record: PluginRecord) -> None:
    own = {(item.kind, item.name) for item in record.components}
    clashes = [
        f"{item.kind} {item.name!r} is offered by {other.provider} as well"
        for other in plugins()
        if other.provider != record.provider
        for item in other.components
        if (item.kind, item.name) in own
    ]
    require(not clashes, "; ".join(clashes))


LOADS: Rule[PluginRecord] = Rule(
    "loads",
    "The plugin is found, imports, states the API number and implements known hooks.",
    "`python -c 'import MODULE'` shows the traceback, if it is the import that fails.",
    _loads,
)
PLUGIN_RULES: tuple[Rule[PluginRecord], ...] = (
    LOADS,
    Rule(
        "light_import",
        "Its declaration and its configs import without torch or another heavy library, and the "
        "declaration without pydantic.",
        "Name targets as strings, and import torch and the like only in the modules that the "
        "factories are in.",
        _light,
    ),
    Rule(
        "targets",
        "Every factory and config it names can be imported, every file read.",
        "Correct the `factory` and `config` of the Component; a file must be in the package.",
        _targets,
    ),
    Rule(
        "names",
        "No other installed plugin offers a component of the same kind and name.",
        "Choose another name, or leave the other plugin out with SSL_REGISTRY_DISABLE.",
        _names,
    ),
)
