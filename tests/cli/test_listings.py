"""`plugins list`, `components` and `components show`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel, Field, SerializeAsAny

from ssl_registry.cli import plugins_list
from ssl_registry.cli.runner import runner
from ssl_registry.cli.settings import settings
from ssl_registry.cli.text import align
from ssl_registry.config.model import ComponentConfig, DatasetConfig, component
from ssl_registry.discovery import PluginRecord
from ssl_registry.discovery import plugins as installed
from ssl_registry.spec import KINDS, Component


def invoke(*words: str) -> Result:
    result = CliRunner().invoke(runner, words)
    assert result.exit_code == 0, result.output
    return result


def test_plugins_list_is_aligned_and_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Component(kind, name, "m:A", "m:C") for kind, name in [("task", "a"), ("task", "b")]]
    records = (
        PluginRecord("one", "m", "dist", "1.0", "ok", components=tuple(parts)),
        PluginRecord("second", "n", "other-dist", "10", "broken", "ImportError: no x"),
        PluginRecord("third", "o", "dist", "1", "disabled", "named in SSL_REGISTRY_DISABLE"),
        PluginRecord("watch", "p", "dist", "1", "ok"),
    )
    monkeypatch.setattr(plugins_list, "installed", lambda: records)
    assert invoke("plugins", "list").stdout == (
        "PLUGIN  DISTRIBUTION  VERSION  STATUS    COMPONENTS OR REASON\n"
        "one     dist          1.0      ok        task a, b\n"
        "second  other-dist    10       broken    ImportError: no x\n"
        "third   dist          1        disabled  named in SSL_REGISTRY_DISABLE\n"
        "watch   dist          1        ok        -\n"
    )
    assert invoke("plugins").stdout == invoke("plugins", "list").stdout
    monkeypatch.setattr(plugins_list, "installed", lambda: ())
    assert invoke("plugins", "list").stdout == "no plugins are installed\n"


def test_what_to_do_follows_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    records = (
        PluginRecord("one", "m", "dist", "1.0", "broken", "ImportError: no x", "install x"),
        PluginRecord("other", "n", "dist", "1.0", "ok"),
        PluginRecord("third", "o", "dist", "1.0", "broken", "no hook", "tell its author"),
    )
    monkeypatch.setattr(plugins_list, "installed", lambda: records)
    assert invoke("plugins", "list").stdout.endswith(
        "\nwhat to do about those that are broken\n  one:    install x\n  third:  tell its author\n"
    )


def test_a_word_that_is_no_command_of_plugins() -> None:
    assert json.loads(invoke("plugins", "--json").stdout) == json.loads(
        invoke("plugins", "list", "--json").stdout
    )
    result = CliRunner().invoke(runner, ["plugins", "lst"])
    assert result.exit_code == 2
    assert "did you mean 'list'?" in result.stderr


def test_listing_datasets_imports_no_reader_of_images() -> None:
    code = (
        "import sys\n"
        "from ssl_registry.cli.runner import runner\n"
        "try:\n"
        "    runner.main(['data', 'list'])\n"
        "except SystemExit as end:\n"
        "    assert not end.code\n"
        "print(sorted({'torch', 'scipy', 'nibabel', 'av', 'kornia'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_plugins_list_json_agrees_with_discovery() -> None:
    found = json.loads(invoke("plugins", "list", "--json").stdout)
    assert [(r["name"], r["distribution"], r["version"], r["status"]) for r in found] == [
        (r.name, r.distribution, r.version, r.status) for r in installed()
    ]


def test_all_bundled_plugins_work() -> None:
    broken = {
        r.name: r.reason for r in installed() if r.distribution == "ssl-registry" and r.reason
    }
    assert broken == {}


def test_components_of_all_kinds_or_one() -> None:
    everything = json.loads(invoke("components", "--json").stdout)
    assert {item["kind"] for item in everything} <= set(KINDS)
    backbones = json.loads(invoke("components", "backbone", "--json").stdout)
    assert backbones == [item for item in everything if item["kind"] == "backbone"]
    names = [line.split()[1] for line in invoke("components", "backbone").stdout.splitlines()[1:]]
    assert names == [item["name"] for item in backbones]
    assert "resnet18" in names


def test_help_lists_the_kinds_there_are() -> None:
    (line,) = [
        line
        for line in invoke("components", "list", "--help").stdout.splitlines()
        if line.strip().startswith("Kinds:")
    ]
    assert [word.strip(",") for word in line.split()[1:]] == list(KINDS)


def test_show_tells_provider_and_settings() -> None:
    text = invoke("components", "show", "method", "simclr").stdout
    assert "ssl-registry:simclr" in text
    (row,) = [line for line in text.splitlines() if line.startswith("temperature")]
    assert row.split()[1:5] == ["number,", ">", "0", "0.5"]


def test_show_prints_an_experiment_as_it_is() -> None:
    from ssl_registry.registry import resource

    text = invoke("components", "show", "experiment", "quickstart").stdout
    assert text.endswith(resource("experiment", "quickstart").rstrip() + "\n")


def test_unknown_component() -> None:
    result = CliRunner().invoke(runner, ["components", "show", "method", "simclrr"])
    assert result.exit_code == 2
    assert "did you mean 'simclr'?" in result.stderr
    assert result.stdout == ""
    result = CliRunner().invoke(runner, ["components", "methods"])
    assert result.exit_code == 2
    assert "did you mean 'method'?" in result.stderr


class Inner(BaseModel):
    rate: float = Field(default=0.5, ge=0, lt=1, description="A share.")


class Sample(ComponentConfig):
    name: str = "sample"
    inner: Inner = Field(default_factory=Inner)
    root: Path = Field(description="A folder.")
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, float] = (0.0, 1.5)
    mode: Literal["a", "b"] = "a"
    depth: int | None = None
    either: int | Literal["auto"] = "auto"
    flag: bool = True
    options: dict[str, Any] = Field(default_factory=dict)
    backbone: Annotated[SerializeAsAny[ComponentConfig], component("backbone")]
    data: tuple[Annotated[SerializeAsAny[DatasetConfig], component("dataset")], ...] = ()


def test_settings_of_a_model() -> None:
    assert list(settings(Sample)) == [
        ("name", "text", '"sample"', "The component's registered name, or provider/name."),
        ("inner.rate", "number, >= 0, < 1", "0.5", "A share."),
        ("root", "path", "required", "A folder."),
        ("sizes", "[whole number, ...]", "[1, 2]", ""),
        ("pair", "[number, number]", "[0.0, 1.5]", ""),
        ("mode", "a | b", '"a"', ""),
        ("depth", "whole number", "none", ""),
        ("either", "whole number or auto", '"auto"', ""),
        ("flag", "true or false", "true", ""),
        ("options", "table", "{}", ""),
        ("backbone", "backbone", "required", ""),
        ("data", "[dataset, ...]", "[]", ""),
    ]


def test_align() -> None:
    assert align([("a", "bb", ""), ("ccc", "d", "e")], indent=" ") == " a    bb\n ccc  d   e"
