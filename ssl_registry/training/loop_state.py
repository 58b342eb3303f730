"""The numbers of a training loop that outlive a step; checkpoints keep them as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class LoopState:
    """What changes from step to step besides tensors.

    Attributes:
        step: Steps taken.
        seconds: Time within steps, s.
        wall_seconds: Time up to the newest checkpoint, over all processes of the run, s.
        peak_memory: Largest resident memory of any of these processes, bytes.
        skipped: Steps whose update was left out.
        skipped_in_a_row: Of these, the ones since the last update.
        epoch_losses: Losses of the running epoch.
        epoch_sums: Sums of the scalars reported in the running epoch, by name.
        epoch_counts: How many steps reported each of them.
        epoch_seconds: Time within steps of the running epoch, s.
    """

    step: int = 0
    seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    epoch_sums: dict[str, float] = field(default_factory=dict)
    epoch_counts: dict[str, int] = field(default_factory=dict)
    epoch_seconds: float = 0.0

    def committed(self, loss: float, scalars: Mapping[str, float]) -> None:
        """Note a step that moved the weights; scalars that are not finite are left out."""
        self.skipped_in_a_row = 0
        self.epoch_losses.append(loss)
        for name, value in scalars.items():
            if math.isfinite(value):
                self.epoch_sums[name] = self.epoch_sums.get(name, 0.0) + value
                self.epoch_counts[name] = self.epoch_counts.get(name, 0) + 1

    def left_out(self) -> None:
        """Note a step that did not move the weights."""
        self.skipped += 1
        self.skipped_in_a_row += 1

    def took(self, seconds: float) -> None:
        """Note the end of a step and the time it took."""
        self.step += 1
        self.seconds += seconds
        self.epoch_seconds += seconds

    def mean_loss(self) -> float | None:
        """Mean loss of the running epoch; None without an update."""
        return sum(self.epoch_losses) / len(self.epoch_losses) if self.epoch_losses else None

    def means(self) -> dict[str, float]:
        """Mean of each scalar of the running epoch over the steps that reported it."""
        return {name: total / self.epoch_counts[name] for name, total in self.epoch_sums.items()}

    def start_epoch(self) -> None:
        """Forget the numbers of the running epoch."""
        self.epoch_losses, self.epoch_seconds = [], 0.0
        self.epoch_sums, self.epoch_counts = {}, {}
