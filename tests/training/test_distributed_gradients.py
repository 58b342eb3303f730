"""Each method in two processes against one process with the whole batch, in float64."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_registry.config.model import ComponentConfig, MethodConfig
from ssl_registry.registry import config_model

# New processes find the module by its name; pytest's importlib mode does not.
sys.path.insert(0, str(Path(__file__).parent))

from distributed_trial import Outcome, Trial, take_steps, take_steps_in

IMAGES, STEPS = 16, 3
SMALL: dict[str, Any] = {"projection_dim": 6}
QUEUE: dict[str, Any] = {**SMALL, "queue_length": 20, "momentum": 0.9}
METHODS: dict[str, dict[str, Any]] = {
    "simclr": {**SMALL, "projection_batch_norm": True},
    "simsiam": {**SMALL, "hidden_dim": 8, "prediction_hidden_dim": 4},
    "moco of four parts in micro-batches": {**QUEUE, "bn_splits": 4},
    "moco of two parts": {**QUEUE, "bn_splits": 2, "symmetric": True, "mask_same_image": True},
    "moco v1": {**QUEUE, "projection_layers": 1, "temperature": 0.07, "batch_norm": "plain"},
    "simclr on a net whose normalisation is one that does more": SMALL,
}
UNET: dict[str, Any] = {"name": "unet_encoder", "widths": [3, 4]}
# Its normalisation layers do more than normalise, and there is more to it than convolutions.
ACTIVATED: dict[str, Any] = {"name": "timm", "model": "test_efficientnet"}


def component(kind: Any, name: str, **settings: Any) -> Any:
    return config_model(kind, name).model_validate({"name": name, **settings})


def trial(method: MethodConfig, backbone: ComponentConfig, side: int, **settings: Any) -> Trial:
    torch.manual_seed(7)
    views = torch.randn(STEPS, 2, IMAGES, 1, side, side, dtype=torch.float64)
    ids = [torch.randperm(24)[:IMAGES] for _ in range(STEPS)]
    return Trial(method, backbone, [list(pair) for pair in views], ids, **settings)


def far(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    assert got.keys() == wanted.keys()
    return [
        name
        for name, value in wanted.items()
        if not torch.allclose(got[name], value, rtol=1e-6, atol=1e-9)
    ]


def given(case: str) -> Trial:
    method = component("method", case.split()[0], **METHODS[case])
    if case.endswith("that does more"):
        return trial(method, component("backbone", **ACTIVATED), side=32)
    micro_batches = 2 if case.endswith("in micro-batches") else 1
    return trial(method, component("backbone", **UNET), side=8, accumulation=micro_batches)


def test_two_processes_have_gradients_and_state_of_one() -> None:
    """All in the same two processes: to start them takes longer than the steps."""
    trials = [given(case) for case in METHODS]
    for case, one, two in zip(METHODS, map(take_steps, trials), take_steps_in(trials), strict=True):
        check(case, one, two)


def check(case: str, one: Outcome, two: list[Outcome]) -> None:
    assert len(one.gradients) > 4, case
    mean = torch.stack([outcome.losses for outcome in two]).mean(dim=0)
    torch.testing.assert_close(mean, one.losses, rtol=1e-6, atol=1e-9, msg=case)
    assert not torch.equal(two[0].losses, two[1].losses), case
    for outcome in two:
        assert (case, far(outcome.gradients, one.gradients)) == (case, [])
        assert (case, far(outcome.state, one.state)) == (case, [])
    for name, value in two[0].state.items():
        assert torch.equal(two[1].state[name], value), (case, name)


@pytest.mark.slow
def test_processes_end_well_fifty_times() -> None:
    trials = [given("simclr")]
    (first,) = take_steps_in(trials)
    for _ in range(50):
        (again,) = take_steps_in(trials)
        for outcome, before in zip(again, first, strict=True):
            assert torch.equal(outcome.losses, before.losses)
