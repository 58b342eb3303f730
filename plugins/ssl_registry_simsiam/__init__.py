"""SimSiam (Chen and He 2021): its method, its augmentation and presets."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1

_PRESETS = {
    "paper": "The multi-organ study's SimSiam at 32 px, batch 512",
    "paper-50": "The multi-organ study's SimSiam at 50 px, batch 512",
    "paper-64": "The multi-organ study's SimSiam at 64 px, batch 512",
    "recommended": "SimSiam for small sets of gray medical images, 20,000 steps",
    "imagenet": "SimSiam on ImageNet as its authors' code trains it",
    "cifar": "SimSiam on CIFAR-10 as its paper describes it",
}


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The method, the augmentation it asks for, and presets."""
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
    for name, summary in _PRESETS.items():
        yield Component(
            kind="preset",
            name=f"simsiam-{name}",
            factory=f"ssl_registry_simsiam:presets/{name}.toml",
            summary=summary,
        )
