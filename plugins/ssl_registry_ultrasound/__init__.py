"""Augmentation by what varies between ultrasound acquisitions."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The augmentation `ultrasound`."""
    yield Component(
        kind="augmentation",
        name="ultrasound",
        factory="ssl_registry_ultrasound.augmentation:ultrasound_views",
        config="ssl_registry_ultrasound.config:UltrasoundAugmentationConfig",
        summary="Two views by probe tilt, crop, flip, depth gain, contrast, speckle and blur",
    )
