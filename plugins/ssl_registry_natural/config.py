"""Settings of the natural image datasets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ssl_registry import FolderDatasetConfig, SplitConfig


class Cifar10Config(FolderDatasetConfig):
    """Where CIFAR-10 lies and what its test images are for.

    The folder is `cifar-10-batches-bin` of the binary release, or the one that holds it. The
    default split is the official one: 50,000 images for training and 10,000 for testing.
    """

    name: str = "cifar10"
    test_as: Literal["test", "val"] = Field(
        default="test",
        description="What the official test images are for: testing, or validating pre-training.",
    )
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="official"),
        description="How samples are divided into train, val, test.",
    )


class MiniImageNetConfig(FolderDatasetConfig):
    """Where mini-ImageNet lies and which of its two partitions is used.

    The folder is the one that holds `train.csv`, `val.csv`, `test.csv` and `images`, or the one
    above it. The official partition has disjoint classes: 38,400 images of 64 classes for
    training, 9,600 of 16 for validation and 12,000 of 20 for testing. The study's partition
    trains on the first two (48,000 images) and validates on the third (12,000).
    """

    name: str = "mini_imagenet"
    partition: Literal["official", "study"] = Field(
        default="official",
        description=(
            "official: the lists as they are; study: train and val for training, test for "
            "validation."
        ),
    )
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(kind="official"),
        description="How samples are divided into train, val, test: official is the partition.",
    )
