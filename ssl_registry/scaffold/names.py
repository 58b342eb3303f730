"""The names of a new plugin, all made from one, and whether they are free."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

import ssl_registry
from ssl_registry.discovery import plugins
from ssl_registry.errors import UserError
from ssl_registry.registry import components

_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""Names of distributions, by the rule of Python's package index."""
_SEPARATORS: Final = re.compile(r"[-_.]+")
_PREFIX: Final = "ssl_registry_"
_LONGEST: Final = 60
"""Characters of package and component together that leave every line within 100."""
_OWN_FOLDERS: Final = frozenset({"tests", "sample", "runs", "build", "dist"})
"""What lies beside the import package in a plugin's folder."""


@dataclass(frozen=True)
class PluginNames:
    """What a new plugin and its parts are called.

    Attributes:
        kind: The kind of its component.
        distribution: What pip installs, such as `ssl-registry-thyroid`; also its folder.
        package: What Python imports, such as `ssl_registry_thyroid`.
        component: What configs write, such as `thyroid`; also the plugin's name.
        class_name: Its class, such as `ThyroidDataset`.
    """

    kind: str
    distribution: str
    package: str
    component: str
    class_name: str


def plugin_names(name: str, kind: str) -> PluginNames:
    """All names of a plugin from that of its distribution.

    Raises:
        UserError: The name is none of a distribution, or gives no usable Python names.
    """
    if not _DISTRIBUTION.fullmatch(name):
        raise UserError(
            f"{name!r} is no name of a distribution: use letters, digits and hyphens, such as "
            f"my-{kind}"
        )
    package = _SEPARATORS.sub("_", name).lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise UserError(
            f"{name!r} gives the module {package!r}, which Python cannot import; choose another "
            f"name, such as ssl-registry-{_SEPARATORS.sub('-', name).lower()}"
        )
    component = package.removeprefix(_PREFIX)
    if len(package) + len(component) > _LONGEST:
        raise UserError(f"{name!r} is too long; choose one of at most {_LONGEST // 2} characters")
    stem = component if component[0].isalpha() else package
    title = "".join(part[:1].upper() + part[1:] for part in stem.split("_"))
    ending = kind.capitalize()
    class_name = title if title.endswith(ending) else title + ending
    return PluginNames(kind, name, package, component, class_name)


def check_free(names: PluginNames) -> None:
    """Check that none of a new plugin's names is taken here.

    Raises:
        UserError: One is; says by what.
    """
    taken = _taken(names)
    if taken:
        raise UserError(f"{names.distribution!r}: {taken}; choose another name")


def _taken(names: PluginNames) -> str:
    """What takes one of the names; empty if nothing does."""
    package, kind, component = names.package, names.kind, names.component
    if package in sys.stdlib_module_names:
        return f"{package!r} is a module of Python itself"
    if package in _OWN_FOLDERS:
        return f"a plugin's folder has a folder {package!r} of its own"
    if {names.class_name, f"{names.class_name}Config"} & set(ssl_registry.__all__):
        return f"ssl_registry has a class {names.class_name} of its own"
    for record in plugins():
        if record.module.split(":")[0] == package or record.name == component:
            return f"the plugin {record.name} of {record.distribution} is installed already"
    for found in components(kind):
        if found.component.name == component:
            return f"the {kind} {component!r} is offered by plugin {found.plugin.name} already"
    if _is_installed(names.distribution):
        return "a distribution of that name is installed already"
    found_module = importlib.util.find_spec(package)
    if found_module is not None:
        return f"a module {package!r} is installed already, in {found_module.origin or 'a folder'}"
    return ""


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
