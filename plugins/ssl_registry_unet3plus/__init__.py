"""The decoder of UNet 3+ (Huang et al. 2020): full-scale skips."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The full-scale decoder; with the backbone `unet_encoder` it is the published net."""
    yield Component(
        kind="decoder",
        name="unet3plus",
        factory="ssl_registry_unet3plus.decoder:UNet3PlusDecoder",
        config="ssl_registry_unet3plus.config:UNet3PlusConfig",
        summary="Decoder of UNet 3+, each level fused from all scales",
    )
