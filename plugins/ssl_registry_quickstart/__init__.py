"""The quick start as data: what `ssl-registry quickstart` runs."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the experiment."""
    return [
        Component(
            kind="experiment",
            name="quickstart",
            factory="ssl_registry_quickstart:quickstart.toml",
            summary="Pre-train on generated ultrasound, fine-tune with few labels, compare.",
        )
    ]
