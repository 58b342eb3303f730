"""SimCLR (Chen et al. 2020): its method, its augmentation and presets."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1

_PRESETS = {
    "paper": "The multi-organ study's SimCLR at 32 px, batch 512",
    "paper-50": "The multi-organ study's SimCLR at 50 px, batch 256",
    "paper-64": "The multi-organ study's SimCLR at 64 px, batch 256",
    "recommended": "SimCLR for small sets of gray medical images, 20,000 steps",
    "imagenet": "SimCLR on ImageNet as its authors' code trains it",
    "cifar": "SimCLR on CIFAR-10 as its authors' code trains it",
}


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method, the augmentation it asks for, and presets."""
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
    for name, summary in _PRESETS.items():
        yield Component(
            kind="preset",
            name=f"simclr-{name}",
            factory=f"ssl_registry_simclr:presets/{name}.toml",
            summary=summary,
        )
