"""Forgets to mark its hook."""

from collections.abc import Iterable

from ssl_registry import Component

SSL_REGISTRY_API = 1


def ssl_registry_components() -> Iterable[Component]:
    return ()
