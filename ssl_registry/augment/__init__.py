"""Whole-batch augmentation on the device, built from kornia; the names below are public."""

from ssl_registry.augment.chain import Operation, blur_kernel, contrastive_chain
from ssl_registry.augment.contrastive import contrastive_views
from ssl_registry.augment.jitter import Jitter, RandomJitter
from ssl_registry.augment.paired import LightPairedAugmentation
from ssl_registry.augment.views import TwoViews

__all__ = [
    "Jitter",
    "LightPairedAugmentation",
    "Operation",
    "RandomJitter",
    "TwoViews",
    "blur_kernel",
    "contrastive_chain",
    "contrastive_views",
]
