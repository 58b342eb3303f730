"""The decoder of Attention U-Net (Oktay et al. 2018): additive gates on the skips."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The gated decoder; with the backbone `unet_encoder` it is the published net."""
    yield Component(
        kind="decoder",
        name="attention_unet",
        factory="ssl_registry_attention_unet.decoder:AttentionUNetDecoder",
        config="ssl_registry_attention_unet.config:AttentionUNetConfig",
        summary="U-Net decoder with additive attention gates on the skips",
    )
