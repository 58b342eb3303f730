"""Length, rates and warm-up as the training settings say them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from ssl_registry.config.training import (
    FinetuningOptimizerConfig,
    OptimizerConfig,
    PretrainingConfig,
    TrainingConfig,
)
from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.training.device import choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop
from ssl_registry.training.run_folder import RunFolder


def test_rates_hold_for_any_batch_unless_a_reference_is_given() -> None:
    assert OptimizerConfig().rate_factor(1) == OptimizerConfig().rate_factor(4096) == 1


@pytest.mark.parametrize(
    ("settings", "batch", "rate"),
    [
        # The published rules, with the rates their READMEs print.
        ({"learning_rate": 0.3, "reference_batch": 256}, 4096, 4.8),  # SimCLR, linear
        ({"learning_rate": 0.075, "reference_batch": 1, "scaling": "sqrt"}, 4096, 4.8),
        ({"learning_rate": 0.03, "reference_batch": 256}, 128, 0.015),  # MoCo
        ({"learning_rate": 0.05, "reference_batch": 256}, 512, 0.1),  # SimSiam
        ({"learning_rate": 0.2, "reference_batch": 64, "scaling": "sqrt"}, 16, 0.1),
    ],
)
def test_rates_are_scaled_to_the_batch(settings: dict[str, Any], batch: int, rate: float) -> None:
    config = OptimizerConfig(**settings)
    assert config.rate_factor(batch) * config.learning_rate == pytest.approx(rate)


def test_the_two_rules_cross_at_the_reference() -> None:
    for batch in (16, 256, 4096):
        linear, root = (
            OptimizerConfig(reference_batch=256, scaling=s).rate_factor(batch)
            for s in ("linear", "sqrt")
        )
        assert linear == root**2
        assert math.isclose(linear, 1) == (batch == 256)


def test_warm_up_in_epochs_or_steps() -> None:
    assert OptimizerConfig(warmup_epochs=2.5).warmup(9) == round(22.5)
    assert OptimizerConfig(warmup_epochs=10, warmup_steps=7).warmup(9) == 7
    assert OptimizerConfig(warmup_epochs=10, warmup_steps=0).warmup(9) == 0
    assert PretrainingConfig().optimizer.warmup(4) == 40


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"epochs": 7}, 21),
        ({"epochs": 7, "max_steps": 20}, 20),
        ({"epochs": 7, "max_steps": 99}, 21),
        ({"epochs": 7, "steps": 20}, 20),
        ({"epochs": 7, "steps": 500}, 500),
        ({"epochs": 7, "steps": 500, "max_steps": 4}, 4),
    ],
)
def test_the_length_of_a_run(settings: dict[str, Any], steps: int) -> None:
    assert TrainingConfig(**settings).total_steps(steps_per_epoch=3) == steps


def test_the_rate_never_rises() -> None:
    assert FinetuningOptimizerConfig().final_learning_rate == 1e-5
    low = FinetuningOptimizerConfig(learning_rate=1e-6)
    assert (low.learning_rate, low.final_learning_rate) == (1e-6, 1e-6)
    assert FinetuningOptimizerConfig.model_validate(low.model_dump()) == low
    message = "final_learning_rate = 0.001 is above learning_rate = 0.0003"
    with pytest.raises(ValidationError, match=message):
        OptimizerConfig(final_learning_rate=1e-3)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"optimizer": {"reference_batch": 0}}])
def test_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig(**settings)


def test_a_run_of_so_many_steps_follows_the_schedule_to_its_end(tmp_path: Path) -> None:
    batch, peak, final, images = 4, 0.2, 0.05, 12
    config = TrainingConfig(
        steps=7,
        epochs=1,
        batch_size=batch,
        device="cpu",
        checkpoint_seconds=1000,
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=peak,
            final_learning_rate=final,
            reference_batch=16,
            warmup_steps=2,
        ),
    )
    rates = rates_of_a_run(config, images, tmp_path)
    # A quarter of the reference batch takes a quarter of both rates; 2 steps of warm-up, then a
    # cosine over the other 5.
    cosine = [final + (peak - final) * (1 + math.cos(math.pi * i / 5)) / 2 for i in range(5)]
    expected = [rate / 4 for rate in (peak / 2, peak, *cosine)]
    assert rates == [pytest.approx(rate) for rate in expected]


def rates_of_a_run(config: TrainingConfig, images: int, folder: Path) -> list[float]:
    """The rates of the steps of a run on `images` numbers."""
    rates: list[float] = []

    class Weight(Trainable):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    class Numbers(Job):
        title = "numbers"

        def __init__(self) -> None:
            weight = Weight()
            self.module, self.images, self._weight = weight, images, weight.weight

        def step(self, indices: NDArray[np.int64]) -> StepOutput:
            rates.append(loop._optimizer.optimizer.param_groups[0]["lr"])
            return StepOutput(self._weight.square().sum())

    job, run = Numbers(), RunFolder(folder / "run")
    run.claim({"id": "a", "kind": "pretrain", "config": {}}, resume=False)
    loop = Loop(job, config, 0, run, choose_execution(config))
    loop.train({"config": {}}, resume=False)
    run.release()
    return rates
