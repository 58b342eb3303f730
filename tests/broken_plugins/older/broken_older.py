"""Written for an API that is gone."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 0


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    return ()
