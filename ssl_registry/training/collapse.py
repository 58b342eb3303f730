"""Noticing that a network gives the same output for every image."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ssl_registry.config.monitoring import MonitoringConfig

GAUGE = "embedding_spread"
"""The scalar that is watched; see `monitoring.embedding_spread`."""


class CollapseWarning(UserWarning):
    """The outputs of a method have collapsed; its weights are hardly of use."""


class CollapseWatch:
    """Counts the steps in a row in which the outputs hardly differed between images.

    Many steps are needed, because outputs of random weights may differ little at first, until
    training has spread them.
    """

    def __init__(self, config: MonitoringConfig) -> None:
        self._config = config
        self._low_steps = 0
        self._warned = ""

    def saw(self, scalars: Mapping[str, float]) -> None:
        """Take note of a step; one without the gauge is not counted.

        Warns:
            CollapseWarning: The outputs have collapsed, and the run goes on; said once.
        """
        spread = scalars.get(GAUGE)
        if spread is None:
            return
        low = spread < self._config.collapse_threshold
        self._low_steps = self._low_steps + 1 if low else 0
        if self.collapsed and self._config.on_collapse == "warn" and not self._warned:
            self._warned = f"{self._finding(spread)} {_ADVICE}"
            warnings.warn(self._warned, CollapseWarning, stacklevel=2)

    @property
    def collapsed(self) -> bool:
        """Whether the gauge has been low for long enough."""
        return self._low_steps >= self._config.collapse_steps

    @property
    def stop_reason(self) -> str:
        """Why the run should end; "" if it should go on."""
        if not self.collapsed or self._config.on_collapse != "stop":
            return ""
        return (
            f"{self._finding()} {_ADVICE} To train on all the same, set "
            "monitoring.on_collapse = 'warn'."
        )

    @property
    def warned(self) -> str:
        """What was warned of; "" if nothing was."""
        return self._warned

    def numbers(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"low_steps": self._low_steps, "warned": self._warned}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take back what `numbers` gave."""
        self._low_steps, self._warned = numbers["low_steps"], numbers["warned"]

    def _finding(self, spread: float | None = None) -> str:
        now = "" if spread is None else f", now {spread:.3f}"
        return (
            f"the outputs have collapsed: for {self._low_steps} steps in a row they were nearly "
            f"the same for every image ({GAUGE} below {self._config.collapse_threshold}{now}; "
            "1 is healthy)."
        )


_ADVICE = (
    "Lower training.optimizer.learning_rate, raise training.batch_size, or use stronger "
    "augmentation."
)
