"""What a pre-training watches: loss on held-out images, rank, probes, and collapse."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.pool import ImagePool
from ssl_registry.evaluation.embeddings import Reader
from ssl_registry.evaluation.probes import ProbeInput
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.progress import say
from ssl_registry.training.collapse import CollapseWatch
from ssl_registry.training.device import Execution
from ssl_registry.training.probing import RunProbes
from ssl_registry.training.rank import RankGauge
from ssl_registry.training.validation_loss import HELD_OUT, Forward, ValidationLoss


class Monitor:
    """Measures a pre-training from beside: nothing of it changes what is trained.

    Args:
        config: The run's config.
        trunk: What is trained.
        pool: The images it is trained on.
        epochs: Epochs of the run, a last one that is cut short included.
        execution: Device and precision.
        initial: Builds the network that training started from.

    Raises:
        DataError: The data of a probe cannot be used.
    """

    def __init__(
        self,
        config: PretrainConfig,
        trunk: Trunk,
        pool: ImagePool,
        epochs: int,
        execution: Execution,
        initial: Callable[[], Trunk],
    ) -> None:
        self._config, self._trunk = config.monitoring, trunk
        self._epochs = epochs
        reader = Reader(Normalize(*config.normalization.for_channels(config.channels)), execution)

        def random_trunk() -> Trunk:
            built = initial()
            execution.place(built)
            return built

        given = ProbeInput(
            image_size=config.image_size,
            channels=config.channels,
            gray=pool.members[0].cache.images.shape[1] == 1,
            reader=reader,
            seed=config.seed,
        )
        self._probes = RunProbes(config.probes, given, random_trunk)
        self._rank = RankGauge(pool, config.monitoring.rank_images, config.image_size, reader)
        self._validation = _validation(config, pool)
        self._collapse = CollapseWatch(config.monitoring)

    def announce(self) -> None:
        """Say what is not watched, and why."""
        if isinstance(self._validation, str) and self._config.validation_epochs != 0:
            say(f"no validation loss: {self._validation}", sys.stderr)

    def saw(self, scalars: Mapping[str, float]) -> None:
        """Take note of the scalars of a step."""
        self._collapse.saw(scalars)

    @property
    def stop_reason(self) -> str:
        """Why the run should end; "" if it should go on."""
        return self._collapse.stop_reason

    def measure(self, method: nn.Module, forward: Forward, epoch: int) -> dict[str, float]:
        """What is due after `epoch` (from 1), as entries of a log row."""
        row: dict[str, float] = {}
        due = self._config.validation_due(epoch, self._epochs)
        if due and isinstance(self._validation, ValidationLoss):
            limit = self._config.validation_batches
            row |= self._validation.measure(method, forward, limit)
        if self._config.rank_due(epoch, self._epochs):
            row["effective_rank"] = self._rank.measure(self._trunk)
        return row | self._probes.measure(self._trunk, epoch, self._epochs)

    def numbers(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"collapse": self._collapse.numbers()}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take back what `numbers` gave; checkpoints of earlier versions have none."""
        if "collapse" in numbers:
            self._collapse.restore(numbers["collapse"])

    def summary(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What is told of a finished run, of whose log `row` is the last."""
        validation = self._validation if isinstance(self._validation, str) else ""
        return {
            "validation_loss": row.get("validation/loss"),
            "no_validation_loss": validation,
            "effective_rank": row.get("effective_rank"),
            "probes": self._probes.summary(row),
            "warnings": [self._collapse.warned] if self._collapse.warned else [],
        }


def _validation(config: PretrainConfig, pool: ImagePool) -> ValidationLoss | str:
    """The validation loss of a run, or why it has none."""
    if config.monitoring.validation_epochs == 0:
        return "monitoring.validation_epochs is 0"
    if HELD_OUT in config.parts:
        return f"the part {HELD_OUT} is trained on"
    # As many as a forward of training sees: so many negatives, and so much memory.
    images = config.training.batch_size // config.training.accumulation
    return ValidationLoss.of(pool, images, config.seed)
