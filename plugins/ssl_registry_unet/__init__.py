"""The U-Net of Ronneberger et al. 2015, as an encoder and decoders that work apart."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """The contracting path as a backbone, and two forms of the expanding path as decoders."""
    yield Component(
        kind="backbone",
        name="unet_encoder",
        factory="ssl_registry_unet.encoder:UNetEncoder",
        config="ssl_registry_unet.config:UNetEncoderConfig",
        summary="Contracting path of the U-Net, with batch normalisation",
    )
    yield Component(
        kind="decoder",
        name="unet",
        factory="ssl_registry_unet.decoder:UNetDecoder",
        config="ssl_registry_unet.config:UNetDecoderConfig",
        summary="Expanding path of the U-Net, over any feature pyramid and image size",
    )
    yield Component(
        kind="decoder",
        name="smp_unet",
        factory="ssl_registry_unet.interpolating_decoder:InterpolatingDecoder",
        config="ssl_registry_unet.config:InterpolatingDecoderConfig",
        summary="Decoder of segmentation-models-pytorch's Unet, which loads such networks whole",
    )
