"""What a run records of itself: resolved config, components, versions, and its id."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ssl_registry import registry
from ssl_registry.config.load import component_kinds
from ssl_registry.config.presets import layers
from ssl_registry.config.run import RunConfig

HOW_NOT_WHAT: Mapping[str, frozenset[str]] = {
    "": frozenset({"check_leaks", "expected_images"}),
    "training": frozenset({"device", "threads", "checkpoint_seconds", "checkpointing"}),
}
"""By table, settings that say how a run is executed, not what it computes."""

RECORDED = ("ssl-registry", "torch", "torchvision", "timm", "kornia", "numpy", "pillow")


def resolved(config: BaseModel) -> dict[str, Any]:
    """The config with all defaults, as JSON values."""
    return config.model_dump(mode="json")


def components_used(config: BaseModel) -> list[dict[str, str]]:
    """Kind, name, plugin, distribution and version of each component in the config."""
    return [
        registry.find(kind, component.name).provenance()
        for kind, component in component_kinds(config)
    ]


def presets_used(config: RunConfig) -> list[dict[str, str]]:
    """Name, plugin, distribution and version of each preset the config was laid over.

    They are no part of a run's id: what they say is in the resolved config.
    """
    return [layer.found.provenance() for layer in layers(config.preset, config.section)]


def environment(device: str, precision: str, threads: int) -> dict[str, str]:
    """Versions and machine facts that decide the bits of a result."""
    facts = {"python": platform.python_version(), "platform": platform.platform()}
    for name in RECORDED:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    return {**facts, "device": device, "precision": precision, "threads": str(threads)}


def run_id(
    config: BaseModel, components: Iterable[Mapping[str, str]], data: Mapping[str, str]
) -> str:
    """Hash of what a run's result depends on.

    That is the resolved config without paths and execution settings (`HOW_NOT_WHAT`), the
    components' versions, and the fingerprints in `data`: so the same study on another machine
    has the same ids.
    """
    content = {
        "config": identity(config.model_dump(mode="python")),
        "components": [dict(component) for component in components],
        "data": dict(data),
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identity(settings: Any, table: str = "") -> Any:
    """What of dumped settings decides a result: no paths, nothing of how it is executed.

    Args:
        settings: What `model_dump(mode="python")` gave, or a part of it.
        table: The key under which `settings` stand.
    """
    if isinstance(settings, Mapping):
        left_out = HOW_NOT_WHAT.get(table, frozenset[str]())
        if table == "training" and "data_on_device" in settings:
            # Not left out: runs have ids that were made with its default in them.
            settings = {**settings, "data_on_device": "auto"}
        return {
            key: identity(item, key)
            for key, item in settings.items()
            if not isinstance(item, Path) and key not in left_out
        }
    if isinstance(settings, (list, tuple)):
        return [identity(item) for item in settings if not isinstance(item, Path)]
    if isinstance(settings, (set, frozenset)):
        # Their order differs from process to process.
        return sorted((identity(i) for i in settings if not isinstance(i, Path)), key=str)
    return settings
