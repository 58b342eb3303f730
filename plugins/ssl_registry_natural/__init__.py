"""Natural images for pre-training: CIFAR-10 and mini-ImageNet, read without pickles."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the datasets `cifar10` and `mini_imagenet`."""
    yield Component(
        "dataset",
        "cifar10",
        "ssl_registry_natural.cifar10:Cifar10Dataset",
        "ssl_registry_natural.config:Cifar10Config",
        "60,000 colour images of 32x32 px in 10 classes, from the binary release.",
    )
    yield Component(
        "dataset",
        "mini_imagenet",
        "ssl_registry_natural.mini_imagenet:MiniImageNetDataset",
        "ssl_registry_natural.config:MiniImageNetConfig",
        "60,000 colour images in 100 classes of ImageNet, from a jpg tree with CSV lists.",
    )
