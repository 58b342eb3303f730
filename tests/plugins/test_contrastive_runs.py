"""MoCo and SimSiam in whole runs: three steps, broken off and resumed; steps that are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from ssl_registry import Method, MethodContext, PretrainBatch, StepOutput, Trunk, Views, pretrain
from ssl_registry.build import build_backbone, build_method
from ssl_registry.config.training import OptimizerConfig, TrainingConfig
from ssl_registry.registry import config_model
from ssl_registry.training.device import choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop
from ssl_registry.training.run_folder import RunFolder

METHODS: dict[str, dict[str, Any]] = {
    "moco": {"projection_dim": 8, "bn_splits": 4, "symmetric": True, "mask_same_image": True},
    "simsiam": {"projection_dim": 16, "hidden_dim": 16, "prediction_hidden_dim": 4},
}
WIDTHS = [4, 8, 16]


def table(method: str, channels: int, precision: str) -> dict[str, Any]:
    return {
        "image_size": 32,
        "channels": channels,
        "method": {"name": method, **METHODS[method]},
        "backbone": {"name": "unet_encoder", "widths": WIDTHS},
        "data": [{"name": "phantom", "images_per_organ": 8, "size": 48}],
        "training": {
            "epochs": 2,
            "max_steps": 3,
            "batch_size": 8,
            "device": "cpu",
            "threads": 1,
            "precision": precision,
            "checkpoint_seconds": 0,
            "optimizer": {"name": "sgd", "learning_rate": 0.05},
        },
    }


def tensors(run: Path) -> dict[str, bytes]:
    (checkpoint,) = (run / "checkpoint").iterdir()
    files = [*checkpoint.glob("*.safetensors"), run / "weights" / "model.safetensors"]
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("method", "channels", "precision"),
    [("moco", 1, "fp32"), ("moco", 3, "bf16"), ("simsiam", 3, "fp32"), ("simsiam", 1, "bf16")],
)
def test_three_steps_and_a_resumed_run_have_the_same_bits(
    method: str, channels: int, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = table(method, channels, precision)
    whole = pretrain(config, tmp_path / "whole")
    next_steps = Loop._next_steps

    def break_off(self: Loop, bar: Any) -> None:
        if self._state.step == 2:
            raise InterruptedError
        next_steps(self, bar)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_next_steps", break_off)
        with pytest.raises(InterruptedError):
            pretrain(config, tmp_path / "broken")
    resumed = pretrain(config, tmp_path / "broken", resume=True)
    assert tensors(resumed) == tensors(whole)
    assert {"module.safetensors", "optimizer.safetensors"} < tensors(whole).keys()
    if method == "moco":
        saved = load(tensors(whole)["module.safetensors"])
        assert {"queue.keys", "queue.ids", "queue.pointer"} < saved.keys()


class Blinding(Job):
    """Gives random views; at the steps in `bad` those of infinite brightness."""

    title = "blinding"

    def __init__(self, method: Method, bad: set[int]) -> None:
        self.module, self.images, self._bad, self._step = method, 8, bad, 0

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        views = torch.rand(2, 8, 1, 32, 32)
        if self._step in self._bad:
            views[:, 0] = torch.inf
        self._step += 1
        output: StepOutput = self.module(
            PretrainBatch(Views((views[0], views[1])), torch.from_numpy(indices))
        )
        return output


def built(method: str) -> Method:
    torch.manual_seed(0)
    backbone = build_backbone(
        config_model("backbone", "unet_encoder").model_validate({"widths": WIDTHS}), 1
    )
    context = MethodContext(8, 3, batch_size=8, image_size=32, channels=1)
    settings = METHODS.get(method, {})
    return build_method(config_model("method", method)(**settings), Trunk(backbone), context)


@pytest.mark.parametrize("method", ["simclr", *METHODS])
def test_a_forward_in_evaluation_changes_no_state(method: str) -> None:
    module = built(method)

    def forward(number: int) -> None:
        first, second = torch.rand(2, number, 1, 32, 32)
        module(PretrainBatch(Views((first, second)), torch.arange(number)))

    forward(8)
    module.after_step(0, committed=True)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    held = {name: value for name, value in vars(module).items() if not name.startswith("_modules")}
    # Batches of other sizes too: there may be few images to validate on.
    for number in (8, 3):
        module.eval()
        with torch.no_grad():
            forward(number)
    module.train()
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert {name: vars(module)[name] for name in held} == held


@pytest.mark.parametrize("method", METHODS)
def test_a_skipped_step_leaves_no_trace(method: str, tmp_path: Path) -> None:
    module = built(method)
    config = TrainingConfig(
        epochs=3, batch_size=8, device="cpu", optimizer=OptimizerConfig(name="sgd")
    )
    states: list[dict[str, torch.Tensor]] = []
    after_step = module.after_step

    def note(step: int, committed: bool) -> None:
        after_step(step, committed)
        assert committed == (step != 1)
        states.append({name: value.clone() for name, value in module.state_dict().items()})

    module.after_step = note  # type: ignore[method-assign]
    loop = Loop(Blinding(module, {1}), config, 0, RunFolder(tmp_path), choose_execution(config))
    assert loop.train({"config": {}}, resume=False).skipped == 1
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        assert torch.isfinite(states[2][name]).all(), name
    if method == "moco":
        assert not torch.equal(states[1]["queue.keys"], states[2]["queue.keys"])
