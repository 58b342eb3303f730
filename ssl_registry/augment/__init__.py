"""Whole-batch augmentation on the device; the names below are public.

They are imported when first used: kornia, which some are built from, takes a second to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_registry.augment.blur import MatrixBlur as MatrixBlur
    from ssl_registry.augment.chain import contrastive_chain as contrastive_chain
    from ssl_registry.augment.colour import BatchGrayscale as BatchGrayscale
    from ssl_registry.augment.colour import BatchJitter as BatchJitter
    from ssl_registry.augment.contrastive import contrastive_views as contrastive_views
    from ssl_registry.augment.crop import MatrixCrop as MatrixCrop
    from ssl_registry.augment.fast import FastChain as FastChain
    from ssl_registry.augment.jitter import Jitter as Jitter
    from ssl_registry.augment.kornia_chain import RandomJitter as RandomJitter
    from ssl_registry.augment.operation import BatchOperation as BatchOperation
    from ssl_registry.augment.operation import Draws as Draws
    from ssl_registry.augment.paired import LightPairedAugmentation as LightPairedAugmentation
    from ssl_registry.augment.settings import Operation as Operation
    from ssl_registry.augment.settings import blur_kernel as blur_kernel
    from ssl_registry.augment.views import TwoViews as TwoViews

_HOMES = {
    "BatchGrayscale": "colour",
    "BatchJitter": "colour",
    "BatchOperation": "operation",
    "Draws": "operation",
    "FastChain": "fast",
    "Jitter": "jitter",
    "LightPairedAugmentation": "paired",
    "MatrixBlur": "blur",
    "MatrixCrop": "crop",
    "Operation": "settings",
    "RandomJitter": "kornia_chain",
    "TwoViews": "views",
    "blur_kernel": "settings",
    "contrastive_chain": "chain",
    "contrastive_views": "contrastive",
}

__all__ = [
    "BatchGrayscale",
    "BatchJitter",
    "BatchOperation",
    "Draws",
    "FastChain",
    "Jitter",
    "LightPairedAugmentation",
    "MatrixBlur",
    "MatrixCrop",
    "Operation",
    "RandomJitter",
    "TwoViews",
    "blur_kernel",
    "contrastive_chain",
    "contrastive_views",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
