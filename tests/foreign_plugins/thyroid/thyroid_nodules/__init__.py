"""Thyroid ultrasound with outlined nodules."""

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> list[Component]:
    """The dataset `thyroid`, whose one setting is the `root` that all datasets of files have."""
    return [Component("dataset", "thyroid", "thyroid_nodules.dataset:Thyroid")]
