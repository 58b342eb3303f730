"""Backbones from timm: the ResNets, and any timm model that gives feature maps."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Two ResNets by name, and `timm` for everything else timm has."""
    for depth in ("resnet18", "resnet50"):
        yield Component(
            kind="backbone",
            name=depth,
            factory=f"ssl_registry_timm.resnet:{depth}",
            config=f"ssl_registry_timm.config:{depth.replace('resnet', 'ResNet')}Config",
            summary=f"{depth.replace('resnet', 'ResNet-')}, with the ImageNet or the CIFAR stem",
        )
    yield Component(
        kind="backbone",
        name="timm",
        factory="ssl_registry_timm.backbone:timm_backbone",
        config="ssl_registry_timm.config:TimmConfig",
        summary="Any timm model with feature maps, by its timm name",
    )
