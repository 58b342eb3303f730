"""The executor `ray`: workers on a Ray cluster (Moritz et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The executor; Ray itself is imported when one is built."""
    yield Component(
        kind="executor",
        name="ray",
        factory="ssl_registry_ray.executor:RayExecutor",
        config="ssl_registry_ray.config:RayConfig",
        summary="Workers on a Ray cluster, with cores and GPUs for each",
    )
