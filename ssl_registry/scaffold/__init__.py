"""New plugins: a whole package from a name and a kind."""

from ssl_registry.scaffold.names import PluginNames, check_free, plugin_names
from ssl_registry.scaffold.package import LICENCES, PLUGIN_KINDS, Author, render, write_package

__all__ = [
    "LICENCES",
    "PLUGIN_KINDS",
    "Author",
    "PluginNames",
    "check_free",
    "plugin_names",
    "render",
    "write_package",
]
