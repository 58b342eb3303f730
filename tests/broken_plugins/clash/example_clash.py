"""Offers a method that another plugin offers as well."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    yield Component(
        kind="method",
        name="simclr",
        factory="ssl_registry_simclr.method:SimCLR",
        config="ssl_registry_simclr.config:SimCLRConfig",
        summary="The same name once more",
    )
