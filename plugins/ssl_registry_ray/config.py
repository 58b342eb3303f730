"""Settings of the Ray executor."""

from __future__ import annotations

from pydantic import Field

from ssl_registry import ComponentConfig


class RayConfig(ComponentConfig):
    """Settings of `ray`."""

    name: str = "ray"
    address: str | None = Field(
        default=None,
        description="The cluster: `auto` for the one this machine belongs to, or its address; "
        "default: a cluster of this machine alone, for as long as the study runs.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Runs at the same time; default: as many as the cluster's cores and GPUs allow "
        "when it is joined.",
    )
    cpus: int = Field(default=1, ge=1, description="Cores of a worker; torch uses as many threads.")
    gpus: float = Field(
        default=0.0, ge=0, description="GPUs of a worker; 0.25 lets four workers share one."
    )
