"""Discovery, with plugins that are installed for real and broken in every way we know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import discovery
from ssl_registry.discovery import PluginRecord
from ssl_registry.spec import Component, hookimpl

FOLDER = Path(__file__).with_name("broken_plugins")
Result = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    installed_in: Callable[[Path, Iterable[Path]], None],
) -> Path:
    """A folder with all packages of tests/broken_plugins, installed by pip."""
    target = tmp_path_factory.mktemp("site")
    installed_in(target, (path.parent for path in sorted(FOLDER.glob("*/pyproject.toml"))))
    return target


def run(*arguments: str, site: Path | None, disable: str = "") -> Result:
    environment = {**os.environ, "SSL_REGISTRY_DISABLE": disable}
    environment["PYTHONPATH"] = str(site) if site else ""
    command = [sys.executable, "-m", "ssl_registry.cli", *arguments]
    # Not in the repository: `-m` would import the tree there instead of what is installed.
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)


def listed(site: Path | None, disable: str = "") -> dict[str, dict[str, Any]]:
    done = run("plugins", "list", "--json", site=site, disable=disable)
    assert done.returncode == 0, done.stderr
    return {
        record["distribution"] + ":" + record["name"]: record for record in json.loads(done.stdout)
    }


def test_broken_plugins_are_listed_with_distribution_version_and_reason(site: Path) -> None:
    records = listed(site)
    expected = {
        "broken-dependency:dependency": (
            "0.1.0",
            "No module named 'package_that_is_",
        ),
        "broken-raises:raises": ("0.2.0", "RuntimeError: the licence server is on holiday"),
        "broken-exits:exits": ("0.3.0", "SystemExit: no thanks"),
        "broken-older:older": ("0.4.0", "API 0, this ssl-registry 0.1.0 has API 1"),
        "broken-newer:newer": ("0.5.0", "API 99, this ssl-registry 0.1.0 has API 1"),
        "broken-misspelt:misspelt": ("0.6.0", "no hook 'ssl_registry_component'; the hooks are"),
        "broken-hookless:hookless": ("0.7.0", "implements no hook"),
    }
    advice = {
        "broken-dependency:dependency": "brings the module 'package_that_is_",
        "broken-raises:raises": "pip install --upgrade broken-raises",
        "broken-exits:exits": "tell its author",
        "broken-older:older": "a newer release of the plugin: pip install 'broken-older>0.4.0'",
        "broken-newer:newer": "upgrade ssl-registry: pip install --upgrade ssl-registry",
        "broken-misspelt:misspelt": "tell its author",
        "broken-hookless:hookless": "tell its author",
    }
    for key, (version, reason) in expected.items():
        assert records[key]["status"] == "broken", key
        assert records[key]["version"] == version, key
        assert reason in records[key]["reason"], key
        assert records[key]["components"] == [], key
        assert advice[key] in records[key]["advice"], key
    broken = {key for key, record in records.items() if record["status"] == "broken"}
    assert {key for key in broken if not key.startswith("ssl-registry:")} == set(expected)


def test_broken_plugins_hurt_no_other(site: Path) -> None:
    alone, together = listed(None), listed(site)
    assert alone.items() <= together.items()
    assert together["example-good:good"]["status"] == "ok"
    done = run("components", "show", "backbone", "example", site=site)
    assert done.returncode == 0, done.stderr
    assert "example-good:good 2.3.4" in done.stdout
    assert "Channels of the first level." in done.stdout


def test_human_listing_names_the_reason(site: Path) -> None:
    done = run("plugins", "list", site=site)
    assert done.returncode == 0
    lines = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert ["exits", "broken-exits", "0.3.0", "broken", "SystemExit: no thanks"] in lines
    assert ["good", "example-good", "2.3.4", "ok", "backbone example"] in lines


def test_what_a_plugin_prints_is_kept_out_of_our_output(site: Path) -> None:
    done = run("plugins", "list", "--json", site=site)
    assert "example_noisy was imported" in done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize("name", ["noisy", "example-noisy", "example-noisy:noisy", "x, noisy ,"])
def test_disabled_plugin_is_listed_and_not_imported(site: Path, name: str) -> None:
    done = run("plugins", "list", "--json", site=site, disable=name)
    assert "example_noisy was imported" not in done.stdout + done.stderr
    (record,) = [item for item in json.loads(done.stdout) if item["name"] == "noisy"]
    assert record["status"] == "disabled"
    assert record["distribution"] == "example-noisy"
    assert "SSL_REGISTRY_DISABLE" in record["reason"]


def test_clash_names_both_providers(site: Path) -> None:
    done = run("components", "show", "method", "simclr", site=site)
    assert done.returncode == 2
    assert "example-clash:clash, ssl-registry:simclr" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "disable", "provider"),
    [
        ("clash/simclr", "", "example-clash:clash 0.8.0"),
        ("example-clash/simclr", "", "example-clash:clash 0.8.0"),
        ("ssl-registry:simclr/simclr", "", "ssl-registry:simclr "),
        ("simclr", "example-clash", "ssl-registry:simclr "),
        ("simclr", "ssl-registry:simclr", "example-clash:clash 0.8.0"),
    ],
)
def test_clash_is_resolved(site: Path, name: str, disable: str, provider: str) -> None:
    # The clashing plugin borrows the config of the bundled one, so either can be shown.
    done = run("components", "show", "method", name, site=site, disable=disable)
    assert done.returncode == 0, done.stderr
    assert provider in done.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-module", "broken_target.nowhere:Config: ModuleNotFoundError"),
        ("no-attribute", "broken_target:Config: AttributeError"),
        ("no-config", "broken_target:ssl_registry_components is no ComponentConfig"),
    ],
)
def test_target_that_cannot_be_loaded(site: Path, name: str, reason: str) -> None:
    assert listed(site)["broken-target:target"]["status"] == "ok"
    done = run("components", "show", "task", name, site=site)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"task '{name}' of plugin target (broken-target 0.9.0)" in done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_foreign_component_is_created_from_code(site: Path) -> None:
    code = (
        "import ssl_registry\n"
        "config, channels = ssl_registry.create('backbone', 'example', width=3, in_channels=1)\n"
        "assert (config.width, channels) == (3, 1)\n"
        "try:\n"
        "    ssl_registry.create('backbone', 'example', widht=3, in_channels=1)\n"
        "except ssl_registry.ConfigError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site), "SSL_REGISTRY_DISABLE": ""},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "backbone 'example': widht: unknown key (did you mean 'width'?)\n"


def examine(monkeypatch: pytest.MonkeyPatch, value: str, **attributes: Any) -> PluginRecord:
    """What discovery makes of one entry point, whose module has the given attributes."""
    module = types.ModuleType("made_up_plugin")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "made_up_plugin", module)
    entry = EntryPoint("made-up", value, "ssl_registry")
    monkeypatch.setattr(discovery, "entry_points", lambda group: [entry])
    (record,) = discovery.plugins.__wrapped__()
    return record


def answering(answer: object) -> Any:
    def ssl_registry_components() -> object:
        return answer

    return hookimpl(ssl_registry_components)


def hook_with_a_stranger(stranger: int) -> tuple[Component, ...]:
    return ()


PART = Component("task", "t", "m:A", "m:C")


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (answering(None), "ssl_registry_components() gave None, not Components"),
        (answering([PART, "t"]), "ssl_registry_components() gave a str, not a Component"),
        (answering([PART, PART]), "declares the task 't' twice"),
        (answering(5), "TypeError: 'int' object is not iterable"),
        (hookimpl(hook_with_a_stranger), "PluginValidationError: "),
    ],
)
def test_answers_that_are_no_components(
    monkeypatch: pytest.MonkeyPatch, hook: Any, reason: str
) -> None:
    attributes = {"SSL_REGISTRY_API": 1, "ssl_registry_components": hook}
    record = examine(monkeypatch, "made_up_plugin", **attributes)
    assert record.status == "broken"
    assert record.reason.startswith(reason)
    assert "\n" not in record.reason


def test_an_observer_needs_no_components(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookimpl
    def run_finished(run: Path) -> None:
        """A hook may take fewer arguments than there are."""

    record = examine(monkeypatch, "made_up_plugin", SSL_REGISTRY_API=1, run_finished=run_finished)
    assert (record.status, record.components, record.reason) == ("ok", (), "")


@pytest.mark.parametrize("number", ["1", None, 1.5])
def test_api_number_must_be_the_number(monkeypatch: pytest.MonkeyPatch, number: object) -> None:
    record = examine(monkeypatch, "made_up_plugin", SSL_REGISTRY_API=number)
    assert record.status == "broken"
    assert "API" in record.reason


def test_entry_point_of_no_distribution_that_points_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = examine(monkeypatch, "not a module")
    assert (record.distribution, record.version, record.status) == ("unknown", "unknown", "broken")
    assert record.reason


def test_ctrl_c_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookimpl
    def ssl_registry_components() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(
            monkeypatch,
            "made_up_plugin",
            SSL_REGISTRY_API=1,
            ssl_registry_components=ssl_registry_components,
        )
