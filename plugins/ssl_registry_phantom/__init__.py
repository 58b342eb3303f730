"""Procedural ultrasound: breast with lesions and masks, heart and lung, made from a seed."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the generated dataset."""
    return [
        Component(
            "dataset",
            "phantom",
            factory="ssl_registry_phantom.dataset:PhantomDataset",
            config="ssl_registry_phantom.config:PhantomConfig",
            summary="Generated ultrasound of breast (with lesion masks), heart and lung",
        )
    ]
