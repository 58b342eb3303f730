"""Declares components whose targets cannot be imported."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    yield Component(
        kind="task",
        name="no-module",
        factory="broken_target.nowhere:Task",
        config="broken_target.nowhere:Config",
    )
    yield Component(
        kind="task",
        name="no-attribute",
        factory="broken_target:Task",
        config="broken_target:Config",
    )
    yield Component(
        kind="task",
        name="no-config",
        factory="broken_target:ssl_registry_components",
        config="broken_target:ssl_registry_components",
    )
