"""The release for an API that is still to come."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 2


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    return [Component("task", "versions", "example_versions:Task", "example_versions:Config")]
