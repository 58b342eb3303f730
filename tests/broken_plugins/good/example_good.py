"""A working plugin of somebody else: a backbone that is configured and built here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    yield Component(
        kind="backbone",
        name="example",
        factory="example_good:build",
        config="example_good_config:ExampleConfig",
        summary="A backbone from elsewhere",
    )


def build(config: Any, in_channels: int) -> tuple[Any, int]:
    return config, in_channels
