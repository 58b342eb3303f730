"""BUS-BRA: breast ultrasound images with lesion masks (Gómez-Flores et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the dataset `bus_bra`."""
    yield Component(
        "dataset",
        "bus_bra",
        "ssl_registry_bus_bra.dataset:BusBraDataset",
        "ssl_registry_bus_bra.config:BusBraConfig",
        "1,875 breast ultrasound images of 1,064 patients (benign, malignant) with lesion masks.",
    )
