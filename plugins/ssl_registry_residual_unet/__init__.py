"""A residual U-Net (Zhang et al. 2018; Kerfoot et al. 2018), as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Both halves; together they are the published net."""
    yield Component(
        kind="backbone",
        name="residual_encoder",
        factory="ssl_registry_residual_unet.encoder:ResidualEncoder",
        config="ssl_registry_residual_unet.config:ResidualEncoderConfig",
        summary="Residual units with strided convolutions, instance norm and PReLU",
    )
    yield Component(
        kind="decoder",
        name="residual_unet",
        factory="ssl_registry_residual_unet.decoder:ResidualUNetDecoder",
        config="ssl_registry_residual_unet.config:ResidualUNetConfig",
        summary="Transposed convolutions and residual units",
    )
