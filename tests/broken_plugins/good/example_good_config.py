"""Settings of the example."""

from __future__ import annotations

from pydantic import Field

from ssl_registry import ComponentConfig


class ExampleConfig(ComponentConfig):
    name: str = "example"
    width: int = Field(default=8, ge=1, description="Channels of the first level.")
