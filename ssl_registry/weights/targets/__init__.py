"""Where weights can go: one target a file, imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssl_registry.errors import WeightsError

if TYPE_CHECKING:
    from ssl_registry.weights.targets.contract import Exporter

TARGETS: Mapping[str, str] = {
    "timm": "ssl_registry.weights.targets.timm",
    "torchvision": "ssl_registry.weights.targets.torchvision",
    "smp": "ssl_registry.weights.targets.smp",
    "onnx": "ssl_registry.weights.targets.onnx",
    "torch-export": "ssl_registry.weights.targets.torch_export",
}
"""The module of each target; its `export` does the work."""


def exporter(target: str) -> Exporter:
    """The function that exports to `target`.

    Raises:
        WeightsError: There is no such target.
    """
    if target not in TARGETS:
        raise WeightsError(f"weights cannot be exported to {target!r}; to {', '.join(TARGETS)}")
    export: Exporter = importlib.import_module(TARGETS[target]).export
    return export
