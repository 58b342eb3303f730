"""SimSiam (Chen and He 2021): its method and its augmentation."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method and the augmentation it asks for."""
    yield Component(
        kind="method",
        name="simsiam",
        factory="ssl_registry_simsiam.method:SimSiam",
        config="ssl_registry_simsiam.config:SimSiamConfig",
        summary="One view predicts the other, without negatives; a stop-gradient holds it open",
    )
    yield Component(
        kind="augmentation",
        name="simsiam",
        factory="ssl_registry_simsiam.augmentation:simsiam_views",
        config="ssl_registry_simsiam.config:SimSiamAugmentationConfig",
        summary="Two views by crop, colour jitter, grayscale, blur and flip",
    )
