"""MultiResUNet (Ibtehaz and Rahman 2020), as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Both halves; together they are the published net."""
    yield Component(
        kind="backbone",
        name="multires_encoder",
        factory="ssl_registry_multires.encoder:MultiResEncoder",
        config="ssl_registry_multires.config:MultiResEncoderConfig",
        summary="MultiRes blocks with max-pooling",
    )
    yield Component(
        kind="decoder",
        name="multiresunet",
        factory="ssl_registry_multires.decoder:MultiResUNetDecoder",
        config="ssl_registry_multires.config:MultiResUNetConfig",
        summary="U-Net decoder of MultiRes blocks, with residual paths on the skips",
    )
