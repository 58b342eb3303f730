"""Settings of the BUSI dataset."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ssl_registry import DatasetConfig, SplitConfig


class BusiConfig(DatasetConfig):
    """Where BUSI lies and how it is split.

    The default split is 7:1:2, stratified by class: of the 780 images, 546 are for training,
    78 for validation and 156 for testing.
    """

    name: str = "busi"
    root: Path = Field(
        description=(
            "The folder that holds Dataset_BUSI_with_GT, that folder itself, or any folder that "
            "holds benign, malignant and normal."
        )
    )
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="stratified", ratios=(7, 1, 2), seed=42),
        description="How samples are divided into train, val, test.",
    )
