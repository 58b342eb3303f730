"""Its hook has a name that is nearly right."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_component() -> Iterable[Component]:
    return ()
