"""Settings of the local executor."""

from __future__ import annotations

from pydantic import Field

from ssl_registry import ComponentConfig


class LocalConfig(ComponentConfig):
    """Settings of `local`."""

    name: str = "local"
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Runs at the same time; default: `workers_per_gpu` on each GPU, without a GPU "
        "one for two cores.",
    )
    workers_per_gpu: int = Field(
        default=1, ge=1, description="Workers that share a GPU; small networks leave it idle else."
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of a worker; default: cores / workers."
    )
