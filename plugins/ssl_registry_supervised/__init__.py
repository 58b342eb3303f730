"""Supervised fine-tuning of a segmentation network."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The task `supervised`."""
    yield Component(
        kind="task",
        name="supervised",
        factory="ssl_registry_supervised.task:Supervised",
        config="ssl_registry_supervised.config:SupervisedConfig",
        summary="Cross entropy and soft Dice over labelled images",
    )
