"""Settings of the BUS-BRA dataset."""

from __future__ import annotations

from pydantic import Field

from ssl_registry import FolderDatasetConfig, SplitConfig


class BusBraConfig(FolderDatasetConfig):
    """Where BUS-BRA lies and how it is split.

    The folder is the one that holds `BUSBRA`, or that folder itself with `Images`, `Masks` and
    `bus_data.csv`. The default split is 7:1:2, stratified by pathology; images of one case stay
    together.
    """

    name: str = "bus_bra"
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(
            kind="stratified", ratios=(7, 1, 2), seed=42, group_by="group"
        ),
        description="How samples are divided into train, val, test.",
    )
