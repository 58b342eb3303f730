"""A small convolutional network of its own, from no library."""

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> list[Component]:
    """The backbone `conv_stages`."""
    return [
        Component(
            kind="backbone",
            name="conv_stages",
            factory="conv_stages.backbone:ConvStages",
            config="conv_stages.config:ConvStagesConfig",
            summary="Strided convolutions with group normalisation",
        )
    ]
