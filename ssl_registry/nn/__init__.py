"""Parts that methods and plugins share; the names below are public."""

from ssl_registry.nn.blocks import conv_norm_relu, double_conv, doubling, resize_to
from ssl_registry.nn.distributed import (
    LocalStatistics,
    alone,
    average,
    gather,
    own_rows,
    rank,
    shared,
    world_size,
)
from ssl_registry.nn.heads import mlp
from ssl_registry.nn.pooling_encoder import PoolingEncoder
from ssl_registry.nn.segmentation import (
    SegmentationNetwork,
    foreground_probabilities,
    output_count,
)
from ssl_registry.nn.stepped_decoder import (
    ConcatenationStep,
    DecoderStep,
    SteppedDecoder,
    doublings,
    skip_levels,
)
from ssl_registry.nn.transfer import sent
from ssl_registry.nn.trunk import Trunk

__all__ = [
    "ConcatenationStep",
    "DecoderStep",
    "LocalStatistics",
    "PoolingEncoder",
    "SegmentationNetwork",
    "SteppedDecoder",
    "Trunk",
    "alone",
    "average",
    "conv_norm_relu",
    "double_conv",
    "doubling",
    "doublings",
    "foreground_probabilities",
    "gather",
    "mlp",
    "output_count",
    "own_rows",
    "rank",
    "resize_to",
    "sent",
    "shared",
    "skip_levels",
    "world_size",
]
