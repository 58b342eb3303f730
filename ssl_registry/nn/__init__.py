"""Parts that methods and plugins share; the names below are public."""

from ssl_registry.nn.heads import mlp
from ssl_registry.nn.segmentation import (
    SegmentationNetwork,
    foreground_probabilities,
    output_count,
)
from ssl_registry.nn.trunk import Trunk

__all__ = ["SegmentationNetwork", "Trunk", "foreground_probabilities", "mlp", "output_count"]
