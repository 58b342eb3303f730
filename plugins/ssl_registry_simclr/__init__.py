"""SimCLR (Chen et al. 2020): its method and its augmentation."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method and the augmentation it asks for."""
    yield Component(
        kind="method",
        name="simclr",
        factory="ssl_registry_simclr.method:SimCLR",
        config="ssl_registry_simclr.config:SimCLRConfig",
        summary="Two views of an image attract, all other images of the batch repel (NT-Xent)",
    )
    yield Component(
        kind="augmentation",
        name="simclr",
        factory="ssl_registry_simclr.augmentation:simclr_views",
        config="ssl_registry_simclr.config:SimCLRAugmentationConfig",
        summary="Two views by crop, flip, colour jitter, grayscale and blur",
    )
