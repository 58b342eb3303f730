"""What the files of a plugin are held to: presets, experiments, studies, published figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from ssl_registry import registry
from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import parse_toml, validate
from ssl_registry.config.model import component_marker
from ssl_registry.config.presets import layers, sections
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.errors import ConfigError, PluginError
from ssl_registry.registry import Found
from ssl_registry.study.expand import plan_study
from ssl_registry.study.published import read_figures
from ssl_registry.study.source import read_study
from ssl_registry.testing.check import CheckFailure, Rule, require

_MODELS: Final[Mapping[str, type[PretrainConfig] | type[FinetuneConfig]]] = {
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
}


class FileBench:
    """A file under check."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.kind = found.component.kind
        self.name = f"{found.plugin.provider}/{found.component.name}"

    def table(self) -> dict[str, Any]:
        """What the file holds."""
        origin = self.found.component.factory.partition(":")[2]
        return parse_toml(registry.resource(self.kind, self.name), origin)


def subject(found: Found) -> FileBench:
    """What the rules below take."""
    return FileBench(found)


def _parses(bench: FileBench) -> None:
    text = registry.resource(bench.kind, bench.name)
    require(bool(text.strip()), "the file is empty")
    if bench.kind != "published":
        bench.table()


def _validates(bench: FileBench) -> None:
    if bench.kind == "preset":
        _validate_preset(bench.name)
    elif bench.kind == "experiment":
        validate(ComparisonConfig, bench.table(), "its file")
    elif bench.kind == "study":
        require(bool(plan_study(read_study(bench.name)).runs), "it plans no run")
    else:
        require(bool(read_figures(bench.name)), "it holds no figure")


def _validate_preset(name: str) -> None:
    for section in sections([name]):
        model = _MODELS[section]
        settled = {key for layer in layers([name], section) for key in layer.table}
        table = {"preset": name, **_filled(model, settled)}
        validate(model, table, f"its table [{section}]")


def _filled(model: type[BaseModel], settled: set[str]) -> dict[str, Any]:
    """What a preset leaves to the user, filled with any component that needs no settings."""
    filled: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        marker = component_marker(field)
        if key in settled or not field.is_required() or marker is None:
            continue
        name = _any_component(marker.kind)
        filled[key] = [name] if key == "data" and model is PretrainConfig else name
    return filled


def _any_component(kind: str) -> str:
    """The first component of `kind` that needs no settings."""
    for found in registry.components(kind):
        name = f"{found.plugin.provider}/{found.component.name}"
        try:
            validate(registry.config_model(kind, name), {"name": name}, name)
        except (ConfigError, PluginError):
            continue
        return name
    raise CheckFailure(f"no {kind} is installed that could stand for what the preset leaves open")


RULES: tuple[Rule[FileBench], ...] = (
    Rule(
        "parses",
        "Its file is in the package and can be read.",
        "Ship the file in the package, in UTF-8; presets, experiments and studies are TOML.",
        _parses,
    ),
    Rule(
        "validates",
        "What it says is known and holds together.",
        "Correct what is named above; `ssl-registry components show` lists what there is.",
        _validates,
    ),
)
