"""The decoder of U-Net++ (Zhou et al. 2018), nested and dense, over any feature pyramid."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The nested decoder; with the backbone `unet_encoder` it is the published net."""
    yield Component(
        kind="decoder",
        name="unetplusplus",
        factory="ssl_registry_unetplusplus.decoder:UNetPlusPlusDecoder",
        config="ssl_registry_unetplusplus.config:UNetPlusPlusConfig",
        summary="Nested, densely connected decoder of U-Net++",
    )
