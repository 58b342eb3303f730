"""UNeXt (Valanarasu and Patel 2022), as an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Both halves; together they are the published net."""
    yield Component(
        kind="backbone",
        name="unext_encoder",
        factory="ssl_registry_unext.encoder:UNeXtEncoder",
        config="ssl_registry_unext.config:UNeXtEncoderConfig",
        summary="Convolutions, then tokenised MLPs with shifted channels",
    )
    yield Component(
        kind="decoder",
        name="unext",
        factory="ssl_registry_unext.decoder:UNeXtDecoder",
        config="ssl_registry_unext.config:UNeXtConfig",
        summary="Decoder of UNeXt, with additive skips",
    )
