"""RotNet (Gidaris et al. 2018): which way up is this image?"""

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> list[Component]:
    """The method `rotnet`, which has no settings."""
    return [Component("method", "rotnet", "rotnet.method:RotNet")]
