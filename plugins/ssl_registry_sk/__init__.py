"""The selective-kernel U-Net (Byra et al. 2020), as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Both halves; together they are the published net."""
    yield Component(
        kind="backbone",
        name="sk_encoder",
        factory="ssl_registry_sk.encoder:SKEncoder",
        config="ssl_registry_sk.config:SKEncoderConfig",
        summary="Selective-kernel blocks with max-pooling",
    )
    yield Component(
        kind="decoder",
        name="sk_unet",
        factory="ssl_registry_sk.decoder:SKUNetDecoder",
        config="ssl_registry_sk.config:SKUNetConfig",
        summary="U-Net decoder of selective-kernel blocks",
    )
