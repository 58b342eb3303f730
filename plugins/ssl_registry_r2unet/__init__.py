"""The recurrent residual U-Net, R2U-Net (Alom et al. 2018), as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Both halves; together they are the published net."""
    yield Component(
        kind="backbone",
        name="r2_encoder",
        factory="ssl_registry_r2unet.encoder:R2Encoder",
        config="ssl_registry_r2unet.config:R2EncoderConfig",
        summary="Recurrent residual blocks with max-pooling",
    )
    yield Component(
        kind="decoder",
        name="r2unet",
        factory="ssl_registry_r2unet.decoder:R2UNetDecoder",
        config="ssl_registry_r2unet.config:R2UNetConfig",
        summary="U-Net decoder of recurrent residual blocks",
    )
