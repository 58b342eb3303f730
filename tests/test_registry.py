"""Finding components among records that are made up here."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from ssl_registry import registry
from ssl_registry.config.model import MethodConfig
from ssl_registry.discovery import PluginRecord
from ssl_registry.errors import ComponentClashError, ComponentNotFoundError, PluginError
from ssl_registry.spec import KINDS, Component


def component(kind: str, name: str, factory: str = "json:loads") -> Component:
    return Component(kind, name, factory, "json:JSONDecoder")


def record(name: str, distribution: str, *components: Component) -> PluginRecord:
    return PluginRecord(name, f"{name}_module", distribution, "1.2", "ok", components=components)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    records = (
        record("one", "first", component("method", "alpha"), component("backbone", "alpha")),
        record("two", "second", component("method", "beta"), component("dataset", "shared")),
        record("two", "third", component("dataset", "shared"), component("task", "t", "json:no")),
        PluginRecord("bad", "bad", "fourth", "0", "broken", "ImportError: x"),
        PluginRecord("off", "off", "fifth", "0", "disabled", "named"),
    )
    monkeypatch.setattr(registry, "plugins", lambda: records)


def test_components_are_sorted_by_kind_and_name() -> None:
    found = [(f.component.kind, f.component.name) for f in registry.components()]
    assert found == sorted(found, key=lambda pair: (KINDS.index(pair[0]), pair[1]))
    assert [f.component.name for f in registry.components("method")] == ["alpha", "beta"]
    assert registry.components("decoder") == ()


def test_kinds_are_apart() -> None:
    assert registry.find("method", "alpha").component.kind == "method"
    assert registry.find("backbone", "alpha").component.kind == "backbone"


def test_provenance_is_complete() -> None:
    assert registry.find("method", "beta").provenance() == {
        "kind": "method",
        "name": "beta",
        "plugin": "two",
        "distribution": "second",
        "version": "1.2",
    }


def test_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(ComponentNotFoundError, match=r"'methods'.*did you mean 'method'") as caught:
        registry.components("methods")
    assert all(kind in str(caught.value) for kind in KINDS)


def test_unknown_name_lists_known_names_their_plugins_and_broken_plugins() -> None:
    with pytest.raises(ComponentNotFoundError) as caught:
        registry.find("method", "alhpa")
    message = str(caught.value)
    assert "no method is called 'alhpa' (did you mean 'alpha'?)" in message
    assert "alpha (one), beta (two)" in message
    assert "fourth:bad" in message
    assert "fifth" not in message


def test_clash_is_an_error_and_the_provider_resolves_it() -> None:
    with pytest.raises(ComponentClashError, match=r"second:two, third:two\. Write second:two/sha"):
        registry.find("dataset", "shared")
    assert registry.find("dataset", "third/shared").plugin.distribution == "third"
    assert registry.find("dataset", "second:two/shared").plugin.distribution == "second"
    with pytest.raises(ComponentClashError):  # both plugins are called `two`
        registry.find("dataset", "two/shared")


def test_provider_that_does_not_offer_it() -> None:
    with pytest.raises(ComponentNotFoundError, match="second/alpha"):
        registry.find("method", "second/alpha")


def test_targets_that_cannot_be_used() -> None:
    with pytest.raises(PluginError, match=r"task 't' of plugin two \(third 1\.2\).*json:no"):
        registry.factory("task", "t")
    with pytest.raises(PluginError, match=r"json:JSONDecoder is no ComponentConfig"):
        registry.config_model("method", "alpha")
    assert registry.factory("method", "alpha")("[1]") == [1]


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    items = [
        Component("experiment", "there", "ssl_registry:py.typed"),
        Component("experiment", "gone", "ssl_registry:nowhere.toml"),
        Component("experiment", "lost", "package_that_is_not_installed:a.toml"),
    ]
    monkeypatch.setattr(registry, "plugins", lambda: (record("e", "e", *items),))
    yield


@pytest.mark.usefixtures("experiment")
def test_resources() -> None:
    assert registry.resource("experiment", "there") == ""
    for name in ("gone", "lost"):
        with pytest.raises(PluginError, match=f"experiment '{name}' of plugin e .* cannot be read"):
            registry.resource("experiment", name)
    with pytest.raises(ComponentNotFoundError, match="no settings"):
        registry.config_model("experiment", "there")
    with pytest.raises(ComponentNotFoundError, match="nothing to build"):
        registry.factory("experiment", "there")


def test_a_module_that_exits_is_the_plugins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("leaves")

    def leave(name: str) -> None:
        raise SystemExit(f"no {name}")

    module.__getattr__ = leave  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "leaves", module)
    found = registry.find("method", "alpha")
    with pytest.raises(PluginError, match="SystemExit: no Thing"):
        registry.load_target("leaves:Thing", found)


@pytest.mark.parametrize(
    ("kind", "name", "factory", "config", "complaint"),
    [
        ("methods", "a", "m:A", "m:C", "not one of method"),
        ("method", "", "m:A", "m:C", "no usable"),
        ("method", "a/b", "m:A", "m:C", "no usable"),
        ("method", " a", "m:A", "m:C", "no usable"),
        ("method", "a", "m.A", "m:C", "'m.A' is not of the form"),
        ("method", "a", "m:A", "m.C", "'m.C' is not of the form"),
        ("experiment", "a", "file.toml", "", "not of the form"),
    ],
)
def test_component_refuses(kind: str, name: str, factory: str, config: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Component(kind, name, factory, config)


def test_component_without_settings_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [Component(kind, "plain", "json:loads") for kind in ("method", "backbone", "dataset")]
    monkeypatch.setattr(registry, "plugins", lambda: (record("one", "first", *plain),))
    monkeypatch.setenv("SSL_REGISTRY_DATA", "/data")
    method, backbone, dataset = (registry.config_model(c.kind, "plain")() for c in plain)  # type: ignore[call-arg]
    assert isinstance(method, MethodConfig)
    assert type(backbone).model_fields.keys() == {"name"}
    assert [config.name for config in (method, backbone, dataset)] == ["plain"] * 3
    assert dataset.model_dump()["root"] == Path("/data/plain")
    with pytest.raises(ValidationError, match="width"):
        registry.config_model("backbone", "plain")(width=3)  # type: ignore[call-arg]
