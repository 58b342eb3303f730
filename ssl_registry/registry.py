"""From a kind and a name to a component: find it, load its targets, create it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ssl_registry.discovery import DISABLE_VARIABLE, PluginRecord, plugins
from ssl_registry.errors import ComponentClashError, ComponentNotFoundError, PluginError
from ssl_registry.spec import FILE_KINDS, KINDS, Component

if TYPE_CHECKING:
    from ssl_registry.config.model import ComponentConfig


@dataclass(frozen=True)
class Found:
    """A component together with the plugin that offers it."""

    component: Component
    plugin: PluginRecord

    @property
    def described(self) -> str:
        """The component and where it comes from, for a message."""
        return (
            f"{self.component.kind} {self.component.name!r} of plugin {self.plugin.name} "
            f"({self.plugin.distribution} {self.plugin.version})"
        )

    def provenance(self) -> dict[str, str]:
        """What a run records of a component it used."""
        return {
            "kind": self.component.kind,
            "name": self.component.name,
            "plugin": self.plugin.name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
        }


def components(kind: str | None = None) -> tuple[Found, ...]:
    """All components of working plugins, of one `kind` or of every kind.

    Raises:
        ComponentNotFoundError: `kind` is no kind of component.
    """
    if kind is not None and kind not in KINDS:
        raise ComponentNotFoundError(
            f"no kind of component is called {kind!r}; there are {', '.join(KINDS)}"
            + suggest(kind, KINDS)
        )
    found = [
        Found(component, plugin)
        for plugin in plugins()
        for component in plugin.components
        if kind in (None, component.kind)
    ]
    return tuple(sorted(found, key=lambda f: (KINDS.index(f.component.kind), f.component.name)))


def plugins_called(provider: str) -> tuple[PluginRecord, ...]:
    """The plugins that `provider` names: a plugin, a distribution, or `distribution:plugin`.

    Raises:
        PluginError: Nothing of that name is installed; lists what is.
    """
    installed = plugins()
    found = tuple(record for record in installed if record.answers_to(provider))
    if found:
        return found
    by_distribution: dict[str, list[str]] = {}
    for record in installed:
        by_distribution.setdefault(record.distribution, []).append(record.name)
    names = {*by_distribution, *(record.name for record in installed)}
    listed = "; ".join(f"{name}: {', '.join(of)}" for name, of in by_distribution.items())
    raise PluginError(
        f"no plugin or distribution is called {provider!r}{suggest(provider, sorted(names))}; "
        f"installed are {listed or 'none'}"
    )


def find(kind: str, name: str) -> Found:
    """The one component of `kind` called `name`, or `provider/name` where names clash.

    Raises:
        ComponentNotFoundError: None is offered; lists what is, with near names.
        ComponentClashError: Several plugins offer it; never the last one wins.
    """
    provider, _, plain = name.rpartition("/")
    of_kind = components(kind)
    matches = [
        f
        for f in of_kind
        if f.component.name == plain and (not provider or f.plugin.answers_to(provider))
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ComponentClashError(_clash_message(kind, plain, matches))
    raise ComponentNotFoundError(_not_found_message(kind, name, of_kind))


def _clash_message(kind: str, name: str, matches: list[Found]) -> str:
    providers = [f.plugin.provider for f in matches]
    return (
        f"{kind} {name!r} is offered by {len(matches)} plugins: {', '.join(providers)}. "
        f"Write {providers[0]}/{name} to choose, or disable one with {DISABLE_VARIABLE}."
    )


def _not_found_message(kind: str, name: str, of_kind: tuple[Found, ...]) -> str:
    known = ", ".join(f"{f.component.name} ({f.plugin.name})" for f in of_kind) or "none"
    message = f"no {kind} is called {name!r}{suggest(name, [f.component.name for f in of_kind])}"
    message += f"; known: {known}"
    broken = [p for p in plugins() if p.status == "broken"]
    if broken:
        names = ", ".join(p.provider for p in broken)
        message += f"; broken plugins that may have offered it: {names}"
    return message


def suggest(word: str, known: Sequence[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, or nothing."""
    import difflib  # only for messages: it would slow down every listing

    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def load_target(target: str, found: Found) -> Any:
    """Import `"package.module:Attribute"` of a component.

    Raises:
        PluginError: It cannot be imported; names the plugin and its distribution.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a foreign module may raise anything
        raise PluginError(
            f"{found.described} cannot be loaded from {target}: {type(error).__name__}: {error}"
        ) from error


def config_model(kind: str, name: str) -> type[ComponentConfig]:
    """The pydantic model of a component's settings; imports only that plugin's config module.

    Raises:
        ComponentNotFoundError: There is no such component, or its kind has no settings.
        ComponentClashError: Several plugins offer it.
        PluginError: The model cannot be imported, or is no `ComponentConfig`.
    """
    found = find(kind, name)
    if kind in FILE_KINDS:
        raise ComponentNotFoundError(f"{kind} {name!r} is a file and has no settings of its own")
    return model_of(found)


def model_of(found: Found) -> type[ComponentConfig]:
    """The pydantic model of the settings of a component that is no file.

    Raises:
        PluginError: The model cannot be imported, or is no `ComponentConfig`.
    """
    from ssl_registry.config.model import ComponentConfig

    if not found.component.config:
        return _model_without_settings(found.component)
    model = load_target(found.component.config, found)
    if not (isinstance(model, type) and issubclass(model, ComponentConfig)):
        raise PluginError(f"{found.described}: {found.component.config} is no ComponentConfig")
    return model


def _model_without_settings(component: Component) -> type[ComponentConfig]:
    """The model of a component that declares none: the base of its kind, with its name."""
    from pydantic import Field, create_model

    from ssl_registry.config.folder import FolderDatasetConfig
    from ssl_registry.config.model import ComponentConfig, MethodConfig

    bases: dict[str, type[ComponentConfig]] = {
        "method": MethodConfig,
        "dataset": FolderDatasetConfig,
    }
    base = bases.get(component.kind, ComponentConfig)
    described = base.model_fields["name"].description
    name = Field(default=component.name, description=described)
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, name=(str, name))


def factory(kind: str, name: str) -> Callable[..., Any]:
    """What builds the component; called as the contract of its kind says.

    Raises:
        ComponentNotFoundError: There is no such component.
        ComponentClashError: Several plugins offer it.
        PluginError: It cannot be imported, or cannot be called.
    """
    found = find(kind, name)
    if kind in FILE_KINDS:
        raise ComponentNotFoundError(f"{kind} {name!r} is a file: nothing to build")
    built: Callable[..., Any] = load_target(found.component.factory, found)
    if not callable(built):
        raise PluginError(f"{found.described}: {found.component.factory} cannot be called")
    return built


def resource(kind: str, name: str) -> str:
    """The text of the file that a component of one of `FILE_KINDS` ships.

    Raises:
        ComponentNotFoundError: There is no such component, or it is no file.
        ComponentClashError: Several plugins offer it.
        PluginError: The file is not in the package, or cannot be read.
    """
    found = find(kind, name)
    if kind not in FILE_KINDS:
        raise ComponentNotFoundError(f"{kind} {name!r} is no file to read")
    package, _, file = found.component.factory.partition(":")
    try:
        return files(package).joinpath(file).read_text(encoding="utf-8")
    except (ImportError, OSError, UnicodeDecodeError) as error:
        raise PluginError(f"{found.described} cannot be read: {error}") from error
