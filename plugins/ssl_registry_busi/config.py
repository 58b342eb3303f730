"""Settings of the BUSI dataset."""

from __future__ import annotations

from pydantic import Field

from ssl_registry import FolderDatasetConfig, SplitConfig


class BusiConfig(FolderDatasetConfig):
    """Where BUSI lies and how it is split.

    The folder is the one that holds `Dataset_BUSI_with_GT`, that folder itself, or any folder that
    holds `benign`, `malignant` and `normal`. The default split is 7:1:2, stratified by class: of
    the 780 images, 546 are for training, 78 for validation and 156 for testing.
    """

    name: str = "busi"
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="stratified", ratios=(7, 1, 2), seed=42),
        description="How samples are divided into train, val, test.",
    )
