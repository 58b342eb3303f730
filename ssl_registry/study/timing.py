"""How long runs take: known from those that have finished, or from a few timed steps."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ssl_registry.config.monitoring import MonitoringConfig, due
from ssl_registry.study.plan import PlannedRun
from ssl_registry.study.trial import Measured

_SPEED = ("backbone", "decoder", "method", "augmentation", "task", "image_size", "channels")
"""Settings that decide how long a step takes, with the batch and the precision."""


def speed_key(run: PlannedRun) -> str:
    """The same for runs whose steps take equally long."""
    training = run.config["training"]
    facts = [run.kind, *(run.config.get(name) for name in _SPEED)]
    facts += [training["batch_size"], training["precision"], training["device"]]
    data = run.config["data"]
    names = [entry["name"] for entry in (data if isinstance(data, list) else [data])]
    return json.dumps([*facts, names], sort_keys=True)


def seconds_of(run: PlannedRun, measured: Measured) -> float:
    """What a run takes, from a trial of one whose steps take equally long."""
    training = run.config["training"]
    images = measured.images
    if run.kind == "finetune":
        images = math.floor(run.config["fraction"] * images + 0.5)
    per_epoch = max(1, images // training["batch_size"])
    steps = steps_of(training, per_epoch)
    validations = _validations(run, math.ceil(steps / per_epoch))
    return measured.fixed + measured.step * steps + measured.epoch * validations


def bytes_of(run: PlannedRun, measured: Measured, *, checkpoints: bool) -> int:
    """What a finished run keeps."""
    kept = measured.size + (measured.weights if run.keep_weights else 0)
    return kept + (measured.checkpoint if checkpoints else 0)


def steps_of(training: Mapping[str, Any], steps_per_epoch: int) -> int:
    """Steps of a run with these training settings."""
    steps: int = training["steps"] or training["epochs"] * steps_per_epoch
    longest: int = training["max_steps"] or steps
    return min(steps, longest)


def _validations(run: PlannedRun, epochs: int) -> int:
    """How often a run measures itself at the end of an epoch."""
    if run.kind == "finetune":
        between: int = run.config["validation_epochs"]
        return math.ceil(epochs / between)
    monitoring = MonitoringConfig.model_validate(run.config["monitoring"])
    every = monitoring.validation_epochs
    return sum(due(every, 20, epoch, epochs) for epoch in range(1, epochs + 1))


class Clock:
    """Learns from finished runs how long the others will take."""

    def __init__(self) -> None:
        self._by_cell: dict[str, list[float]] = defaultdict(list)
        self._by_speed: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._by_kind: dict[str, list[float]] = defaultdict(list)

    def learn(self, run: PlannedRun, seconds: float, steps: float) -> None:
        """Take note of what a run took."""
        self._by_cell[run.cell].append(seconds)
        self._by_speed[speed_key(run)].append((seconds, steps))
        self._by_kind[run.kind].append(seconds)

    def knows(self, run: PlannedRun) -> bool:
        """Whether a run of the same cell has finished."""
        return run.cell in self._by_cell

    def seconds(self, run: PlannedRun) -> float | None:
        """What a run will take; None if nothing like it has finished."""
        if run.cell in self._by_cell:
            return _mean(self._by_cell[run.cell])
        alike = self._by_speed.get(speed_key(run))
        if alike and run.config["training"]["steps"]:
            steps = steps_of(run.config["training"], 1)
            return steps * sum(s for s, _ in alike) / max(1.0, sum(n for _, n in alike))
        if alike:
            return _mean([seconds for seconds, _ in alike])
        same = self._by_kind.get(run.kind)
        return _mean(same) if same else None

    def left(self, runs: Iterable[PlannedRun], workers: int) -> float | None:
        """Seconds until `runs` are done by so many workers.

        None as long as nothing is known of some: a pre-training tells nothing of a fine-tuning.
        """
        each = [self.seconds(run) for run in runs]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each):
            return None
        return sum(known) / max(1, min(workers, len(each)))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
