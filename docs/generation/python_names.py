"""The pages of the public names in Python.

A page lists the names, each with the first line of its docstring, for those who read the file as it
is; on the site the directives (`:::`) below become their whole documentation.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any, Final

from generation.markdown import table

PACKAGES: Final = (
    "ssl_registry",
    "ssl_registry.nn",
    "ssl_registry.augment",
    "ssl_registry.testing",
)
TOPICS: Final = {
    "api": "Runs",
    "registry": "Plugins and components",
    "spec": "Plugins and components",
    "discovery": "Plugins and components",
    "interfaces": "Contracts",
    "config": "Configs",
    "nn": "Networks",
    "weights": "Weights",
    "data": "Reading pictures",
    "errors": "Errors",
}
"""Headings of the names of `ssl_registry`, by the first part of the module they are from."""
WHAT: Final = {
    "API_VERSION": "The number a plugin states as `SSL_REGISTRY_API`.",
    "Image": "An image as a dataset reads it: an array `[H, W]` or `[H, W, C]`.",
    "Mask": "A mask as a dataset reads it: an array `[H, W]` or `[H, W, classes]`.",
    "hookimpl": "Marks a function of a plugin as a hook.",
}
"""Of names that have no docstring of their own."""


def python_pages() -> dict[str, str]:
    """The page of each package, and one that leads to them, by file name."""
    rows = [
        (f"[`{package}`]({file_of(package)})", _first_line(importlib.import_module(package)))
        for package in PACKAGES
    ]
    leading = [
        "# Public names in Python",
        "What a plugin or a program may import; everything else may change without notice. How "
        "they change: [what is supported](../supported.md#what-is-public-and-how-it-changes).",
        table(("package", "what"), rows),
    ]
    pages = {"python.md": "\n\n".join(leading) + "\n"}
    return pages | {file_of(package): package_page(package) for package in PACKAGES}


def file_of(package: str) -> str:
    """Name of a package's page."""
    return f"python_{package.removeprefix('ssl_registry.').rpartition('.')[2]}.md"


def package_page(package: str) -> str:
    """The page of a package."""
    module = importlib.import_module(package)
    homes = _homes(module)
    # A name has one place only, where links to it lead.
    elsewhere = set() if package == PACKAGES[0] else {*importlib.import_module(PACKAGES[0]).__all__}
    topics: dict[str, list[str]] = {}
    for name in sorted(set(module.__all__) - {"__version__"}, key=str.lower):
        part = homes[name].removeprefix("ssl_registry.").partition(".")[0]
        topic = TOPICS[part] if package == "ssl_registry" else "Names"
        topics.setdefault(topic, []).append(name)
    order = [*dict.fromkeys(TOPICS.values()), "Names"]
    parts = [f"# {package}", inspect.getdoc(module) or ""]
    for topic in sorted(topics, key=order.index):
        rows = [
            (_shown(name, elsewhere), _what(name, getattr(module, name))) for name in topics[topic]
        ]
        parts += [f"## {topic}", table(("name", "what"), rows)]
        parts += [f"::: {homes[name]}.{name}" for name in topics[topic] if name not in elsewhere]
    return "\n\n".join(parts) + "\n"


def _homes(module: Any) -> dict[str, str]:
    """The module that each public name comes from, as the package imports it."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _shown(name: str, elsewhere: set[str]) -> str:
    return f"[`{name}`]({file_of(PACKAGES[0])})" if name in elsewhere else f"`{name}`"


def _what(name: str, value: Any) -> str:
    return WHAT.get(name) or _first_line(value)


def _first_line(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")
