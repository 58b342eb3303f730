"""Settings of the backbone."""

from pydantic import Field

from ssl_registry import ComponentConfig


class ConvStagesConfig(ComponentConfig):
    """Settings of `conv_stages`."""

    name: str = "conv_stages"
    widths: tuple[int, ...] = Field(
        default=(16, 32, 64), min_length=2, description="Channels per stage, finest first."
    )
