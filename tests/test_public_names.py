"""The lazily imported public names of the library."""

from __future__ import annotations

import ast
import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

import ssl_registry


def declared_for_type_checkers() -> dict[str, str]:
    """Name -> home, as the `if TYPE_CHECKING` block of the package tells mypy and editors."""
    tree = ast.parse(Path(ssl_registry.__file__).read_text(encoding="utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    names = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name} is not re-exported"
            names[alias.name] = str(node.module)
    return names


def test_type_checkers_see_what_is_imported() -> None:
    lazily = {
        name: f"ssl_registry.{module}"
        for module, names in ssl_registry._HOME.items()
        for name in names
    }
    assert declared_for_type_checkers() == lazily
    assert sorted(ssl_registry.__all__) == sorted(["__version__", *lazily])


@pytest.mark.parametrize("name", ssl_registry.__all__)
def test_every_public_name_resolves(name: str) -> None:
    value = getattr(ssl_registry, name)
    home = declared_for_type_checkers().get(name)
    if home is not None:
        assert value is getattr(importlib.import_module(home), name)
    assert name in dir(ssl_registry)


@pytest.mark.parametrize("package", ["ssl_registry.nn", "ssl_registry.augment"])
def test_every_public_part_resolves(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_no_public_name_is_hidden_by_a_module() -> None:
    """Importing the module `ssl_registry.x` sets the attribute `x`, whatever it was before."""
    folder = Path(ssl_registry.__file__).parent
    modules = {path.stem for path in folder.iterdir()}
    assert not modules & set(ssl_registry.__all__)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pretain'"):
        ssl_registry.pretain  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    assert ssl_registry.__version__ == version("ssl-registry")
