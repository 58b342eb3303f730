"""Who may import whom, and what must stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ssl_registry

ROOT = Path(__file__).parents[1]
CORE = ROOT / "ssl_registry"
PLUGINS = {
    path.parent.name: path.parent for path in sorted((ROOT / "plugins").glob("*/__init__.py"))
}
CORE_FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted(file for folder in PLUGINS.values() for file in folder.rglob("*.py"))
HEAVY = {"torch", "torchvision", "timm", "kornia", "numpy", "scipy", "PIL", "pandas", "matplotlib"}

pytestmark = pytest.mark.skipif(not CORE_FILES, reason="needs the source tree")


def parse(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def imports(file: Path) -> Iterator[tuple[str, str | None]]:
    """Each absolute import as (module, name); the name is None for `import module`."""
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module or "", alias.name) for alias in node.names)


def strings(file: Path) -> Iterator[str]:
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def public_names(package: str) -> set[str]:
    """`__all__` of a package of the core, read without importing it."""
    for node in parse(CORE / package / "__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


PUBLIC = {
    "ssl_registry": set(ssl_registry.__all__),
    "ssl_registry.nn": public_names("nn"),
    "ssl_registry.augment": public_names("augment"),
}


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", CORE_FILES, ids=name_of)
def test_the_core_knows_no_plugin(file: Path) -> None:
    modules = {module.partition(".")[0] for module, _ in imports(file)}
    assert not modules & PLUGINS.keys()
    named = {text.partition(":")[0].partition(".")[0] for text in strings(file)}
    assert not named & PLUGINS.keys()


@pytest.mark.parametrize("file", PLUGIN_FILES, ids=name_of)
def test_a_plugin_imports_only_public_names_and_no_other_plugin(file: Path) -> None:
    own = file.relative_to(ROOT / "plugins").parts[0]
    for module, name in imports(file):
        top = module.partition(".")[0]
        assert top == own or top not in PLUGINS, f"{module} is another plugin"
        if top == "ssl_registry":
            assert module in PUBLIC, f"{module} is not public"
            assert name is not None, f"write `from {module} import ...`"
            assert name in PUBLIC[module], f"{module}.{name} is not public"


def modules_after(*statements: str) -> list[set[str]]:
    """The top-level modules that are there after each statement, run in a fresh process."""
    report = "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    lines = ["import json, sys", *(line for s in statements for line in (s, report))]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


def test_importing_the_library_is_light() -> None:
    (after,) = modules_after("import ssl_registry")
    assert not after & {*HEAVY, "pydantic", "click", "rich"}


def test_configs_are_light() -> None:
    (after,) = modules_after("import ssl_registry.config.load, ssl_registry.config.comparison")
    assert not after & HEAVY
