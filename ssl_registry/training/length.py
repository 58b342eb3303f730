"""How many steps an epoch and a run have."""

from __future__ import annotations

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DataError


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; the rest is left out, so that BatchNorm never sees one image.

    Raises:
        DataError: There are fewer images than one batch.
    """
    if images < batch_size:
        raise DataError(
            f"the batch of {batch_size} is larger than the set of {images} images; "
            f"set training.batch_size to {images} or less"
        )
    return images // batch_size


def total_steps(images: int, config: TrainingConfig) -> int:
    """Steps of the whole run."""
    return config.total_steps(steps_per_epoch(images, config.batch_size))
