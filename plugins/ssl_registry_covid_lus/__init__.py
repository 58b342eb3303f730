"""COVID-19 lung ultrasound (POCUS): recordings of four classes (Born et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the dataset `covid_lus`."""
    yield Component(
        "dataset",
        "covid_lus",
        "ssl_registry_covid_lus.dataset:CovidLusDataset",
        "ssl_registry_covid_lus.config:CovidLusConfig",
        "Lung ultrasound videos and images: COVID-19, other pneumonia, healthy.",
    )
