"""MoCo (He et al. 2020; Chen et al. 2020): its method, its augmentations and presets."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1

_PRESETS = {
    "paper": "The multi-organ study's MoCo at 32 px, batch 256",
    "paper-50": "The multi-organ study's MoCo at 50 px, batch 64",
    "paper-64": "The multi-organ study's MoCo at 64 px, batch 64",
    "recommended": "MoCo for small sets of gray medical images, 20,000 steps",
    "imagenet": "MoCo v2 on ImageNet as its authors' code trains it",
    "cifar": "MoCo on CIFAR-10 as its authors' demo trains it",
}


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method, the augmentations of its two versions, and presets."""
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
    for name, summary in _PRESETS.items():
        yield Component(
            kind="preset",
            name=f"moco-{name}",
            factory=f"ssl_registry_moco:presets/{name}.toml",
            summary=summary,
        )
