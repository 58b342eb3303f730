"""A few timed steps of a run, in a worker: how long the whole will take, and what it will keep."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.errors import TrainingError
from ssl_registry.files import read_json
from ssl_registry.kept import keep_loaded
from ssl_registry.study.perform import answer_of, config_of

CALL = "ssl_registry.study.trial:trial"
STEPS = 3
REPEAT_SECONDS = 60.0
"""A trial that is short is done twice."""


@dataclass(frozen=True)
class Measured:
    """What a trial found; times in seconds, sizes in bytes.

    Attributes:
        step: A step.
        epoch: The end of an epoch that is validated.
        fixed: Everything before and after training.
        images: Training images, with all labels.
        size: What a run keeps but for the two below.
        weights: Its weights.
        checkpoint: Its checkpoint.
    """

    step: float
    epoch: float
    fixed: float
    images: int
    size: int
    weights: int
    checkpoint: int


def trial(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Time some steps of a run in a folder of its own, which is removed.

    Data are loaded before, since runs share them.

    Returns:
        `measured`, or what `perform` answers where it fails.
    """
    keep_loaded()
    try:
        return {"measured": asdict(_measure(config_of(payload)))}
    except Exception as error:  # as in perform
        answer = answer_of(error)
        if answer is None:
            raise
        return answer


def _measure(config: PretrainConfig | FinetuneConfig) -> Measured:
    images = _load(config)
    first = _measure_once(config, images)
    # A worker's first run also imports and warms up what later ones find ready.
    return _measure_once(config, images) if first.fixed + first.step < REPEAT_SECONDS else first


def _measure_once(config: PretrainConfig | FinetuneConfig, images: int) -> Measured:
    from ssl_registry.training.finetune import run_finetuning
    from ssl_registry.training.pretrain import run_pretraining

    training = config.training.model_copy(update={"max_steps": STEPS})
    with tempfile.TemporaryDirectory(prefix="ssl-registry-trial-") as place:
        folder, started = Path(place) / "run", time.monotonic()
        if isinstance(config, PretrainConfig):
            run_pretraining(config.model_copy(update={"training": training}), folder, resume=False)
        else:
            run_finetuning(config.model_copy(update={"training": training}), folder, resume=False)
        elapsed = time.monotonic() - started
        summary = read_json(folder / "summary.json")
        if not summary["steps"]:
            raise TrainingError("no step could be timed")
        whole, weights = _size(folder), _size(folder / "weights")
        checkpoint = _size(folder / "checkpoint")
        return Measured(
            step=summary["training_seconds"] / summary["steps"],
            epoch=max(0.0, summary["wall_seconds"] - summary["training_seconds"]),
            fixed=max(0.0, elapsed - summary["wall_seconds"]),
            images=images,
            size=whole - weights - checkpoint,
            weights=weights,
            checkpoint=checkpoint,
        )


def _load(config: PretrainConfig | FinetuneConfig) -> int:
    """Load what a run needs, so that it is kept; gives the number of training images."""
    from ssl_registry.data.leaks import find_leaks
    from ssl_registry.data.mixing import epoch_length
    from ssl_registry.data.pool import load_pool
    from ssl_registry.training.testing import load_labelled, masked_places

    if isinstance(config, PretrainConfig):
        pool = load_pool(
            config.data, config.parts, size=config.stored_size, channels=config.channels
        )
        return epoch_length(pool.shares(config.mixing))
    data = load_labelled(config)
    if config.check_leaks:
        find_leaks(data)
    return len(masked_places(data, "train"))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
