"""MoCo (He et al. 2020; Chen et al. 2020): its method and its augmentations."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method and the augmentations of its two versions."""
    yield Component(
        kind="method",
        name="moco",
        factory="ssl_registry_moco.method:MoCo",
        config="ssl_registry_moco.config:MoCoConfig",
        summary="Two views attract, a queue of earlier images repels; keys by a slow encoder",
    )
    yield Component(
        kind="augmentation",
        name="moco_v1",
        factory="ssl_registry_moco.augmentation:moco_v1_views",
        config="ssl_registry_moco.config:MoCoV1AugmentationConfig",
        summary="Two views by crop, grayscale, colour jitter and flip",
    )
    yield Component(
        kind="augmentation",
        name="moco_v2",
        factory="ssl_registry_moco.augmentation:moco_v2_views",
        config="ssl_registry_moco.config:MoCoV2AugmentationConfig",
        summary="Two views by crop, colour jitter, grayscale, blur and flip",
    )
