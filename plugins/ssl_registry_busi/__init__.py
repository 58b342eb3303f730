"""BUSI: breast ultrasound images with lesion masks (Al-Dhabyani et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the dataset `busi`."""
    yield Component(
        "dataset",
        "busi",
        "ssl_registry_busi.dataset:BusiDataset",
        "ssl_registry_busi.config:BusiConfig",
        "780 breast ultrasound images (benign, malignant, normal) with lesion masks.",
    )
