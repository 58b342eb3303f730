"""What is told of plugins: two releases of one, and what an import costs; installed for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).with_name("reported_plugins")
Result = subprocess.CompletedProcess[str]
Install = Callable[[Path, Iterable[Path]], None]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, installed_in: Install) -> Path:
    folder = tmp_path_factory.mktemp("first")
    installed_in(folder, [FOLDER / "first", FOLDER / "heavy"])
    return folder


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory, installed_in: Install) -> Path:
    folder = tmp_path_factory.mktemp("second")
    installed_in(folder, [FOLDER / "second"])
    return folder


def run(*arguments: str, sites: tuple[Path, ...], disable: str = "heavy") -> Result:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, sites)),
        "SSL_REGISTRY_DISABLE": disable,
    }
    command = [sys.executable, "-m", "ssl_registry.cli", *arguments]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)


def shown(*arguments: str, sites: tuple[Path, ...], disable: str = "heavy") -> dict[str, Any]:
    done = run("plugins", "show", *arguments, "--json", sites=sites, disable=disable)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    found: dict[str, Any] = record
    return found


def test_the_release_for_a_newer_api_is_refused_with_what_to_install(
    first: Path, second: Path
) -> None:
    old, new = shown("versions", sites=(first,)), shown("versions", sites=(second,))
    assert (old["status"], old["version"], old["api"]) == ("ok", "1.4.0", 1)
    assert (new["status"], new["version"], new["api"]) == ("broken", "2.0.0", 2)
    assert new["reason"] == "written for API 2, this ssl-registry 0.1.0 has API 1"
    assert new["advice"] == (
        "install the ssl-registry that it asks for: pip install 'ssl-registry[onnx]<3,>=2'; "
        "or install an earlier release of the plugin: pip install 'example-versions<2.0.0'"
    )
    assert new["asks_for"] == {"ssl-registry[onnx]<3,>=2": "0.1.0 is installed, which will not do"}
    listing = run("plugins", "list", sites=(second,)).stdout
    assert f"  versions:  {new['advice']}\n" in listing


def test_of_two_installed_releases_the_one_that_python_finds_counts(
    first: Path, second: Path
) -> None:
    assert shown("versions", sites=(first, second))["status"] == "ok"
    assert shown("versions", sites=(second, first))["status"] == "broken"


def test_show_says_where_everything_comes_from(first: Path) -> None:
    record = shown("example-versions", sites=(first,))
    file = str(first / "example_versions.py")
    assert record["file"] == file
    assert record["hooks"] == ["ssl_registry_components"]
    assert record["components"] == [
        {
            "kind": "task",
            "name": "versions",
            "summary": "",
            "factory": "example_versions:Task",
            "config": "example_versions:Config",
            "file": file,
        }
    ]
    text = run("plugins", "show", "example-versions", sites=(first,)).stdout
    assert "example-versions 1.4.0" in text
    assert ["task", "versions", "example_versions:Task", file] in [
        line.split() for line in text.splitlines()
    ]


def test_a_disabled_plugin_is_shown_without_being_imported(first: Path) -> None:
    record = shown("heavy", "--timing", sites=(first,))
    assert (record["status"], record["api"]) == ("disabled", None)
    assert record["file"] == str(first / "example_heavy.py")
    assert record["import"] == {"ms": None, "heavy": {}, "problem": "disabled"}


def test_a_plugin_that_imports_torch_at_its_top_is_named_with_the_cost(first: Path) -> None:
    # All but the two are disabled, which spares their imports.
    options = {"sites": (first,), "disable": "ssl-registry"}
    done = run("plugins", "list", "--timing", "--json", **options)  # type: ignore[arg-type]
    records = [r for r in json.loads(done.stdout) if r["status"] == "ok"]
    assert [r["name"] for r in records] == ["heavy", "versions"]
    heavy, light = (r["import"] for r in records)
    assert next(iter(heavy["heavy"])) == "torch"
    # torch is nearly all that the import costs; the other plugin does not pay for it.
    assert 0.5 * heavy["ms"] < heavy["heavy"]["torch"] <= 1.01 * heavy["ms"]
    assert light["heavy"] == {}
    assert light["ms"] < heavy["ms"]


def test_unknown_plugin(first: Path) -> None:
    done = run("plugins", "show", "version", sites=(first,))
    assert done.returncode == 2
    assert "did you mean 'versions'?" in done.stderr
