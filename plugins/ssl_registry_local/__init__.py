"""The executor `local`: worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The executor."""
    yield Component(
        kind="executor",
        name="local",
        factory="ssl_registry_local.executor:LocalExecutor",
        config="ssl_registry_local.config:LocalConfig",
        summary="Worker processes on this machine, several per GPU where wanted",
    )
