"""CAMUS: heart ultrasound with masks of three structures (Leclerc et al., 2019)."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the dataset `camus`."""
    yield Component(
        "dataset",
        "camus",
        "ssl_registry_camus.dataset:CamusDataset",
        "ssl_registry_camus.config:CamusConfig",
        "2,000 heart ultrasound frames of 500 patients with masks of three structures.",
    )
