"""The loop with a job of a few numbers."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.config.training import OptimizerConfig, TrainingConfig
from ssl_registry.errors import DataError, TrainingError
from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.training import loop as loop_module
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.interruption import Interrupted
from ssl_registry.training.job import Job
from ssl_registry.training.loop import (
    Loop,
    ResumeWarning,
    steps_per_epoch,
    total_steps,
)
from ssl_registry.training.loop_state import LoopState
from ssl_registry.training.monitoring import embedding_spread
from ssl_registry.training.run_folder import RunFolder

IMAGES = 12


class Tiny(Trainable):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.calls: list[tuple[Any, ...]] = []

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(self.layer(inputs)).square().mean()

    def before_step(self, step: int) -> None:
        self.calls.append(("before", step))

    def after_step(self, step: int, committed: bool) -> None:
        self.calls.append(("after", step, committed))


class TinyJob(Job):
    """Goes wrong at the steps in `bad`: an infinite input, or a loss whose gradient is infinite."""

    title = "tiny"

    def __init__(self, bad: dict[int, str] | None = None) -> None:
        torch.manual_seed(5)
        self.module = self.tiny = Tiny()
        self.images = IMAGES
        self.seen: list[list[int]] = []
        self._bad = bad or {}

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        bad = self._bad.get(len(self.seen), "")
        self.seen.append(indices.tolist())
        inputs = torch.rand(len(indices), 2) + torch.from_numpy(indices)[:, None]
        if bad == "input":
            inputs[0] = math.inf
        loss = self.module(inputs)
        if bad == "gradient":
            loss = loss + (self.tiny.layer.weight.sum() * 0).sqrt()
        return StepOutput(loss, {"twice": 2 * loss.detach()})


def execution() -> Execution:
    return choose_execution(TrainingConfig(device="cpu", precision="fp32"))


def config(**changes: Any) -> TrainingConfig:
    settings = {"epochs": 3, "batch_size": 4, "checkpoint_seconds": 1000, **changes}
    return TrainingConfig(optimizer=OptimizerConfig(learning_rate=0.1), **settings)


def train(job: Job, run: Path, *, resume: bool = False, **changes: Any) -> LoopState:
    run.mkdir(exist_ok=True)
    loop = Loop(job, config(**changes), 3, RunFolder(run), execution())
    return loop.train({"config": {"seed": 3}}, resume=resume)


def state_of(job: TinyJob) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.module.state_dict().items()}


def test_hooks_come_in_order_and_each_epoch_sees_each_image(tmp_path: Path) -> None:
    job = TinyJob()
    state = train(job, tmp_path)
    assert (state.step, state.skipped) == (9, 0)
    expected = [call for step in range(9) for call in (("before", step), ("after", step, True))]
    assert job.tiny.calls == expected
    epochs = [list(itertools.chain(*job.seen[start : start + 3])) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(IMAGES)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_rows_hold_the_means_of_the_epoch(tmp_path: Path) -> None:
    train(TinyJob(), tmp_path)
    rows = RunFolder(tmp_path).read_log()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 6), (3, 9)]
    for row in rows:
        assert row["twice"] == pytest.approx(2 * row["loss"])
    # The rate of the last of nine steps: 0.1 (1 + cos(8 pi / 9)) / 2.
    assert rows[-1]["learning_rate"] == pytest.approx(0.05 * (1 + math.cos(8 * math.pi / 9)))


class Gauges(TinyJob):
    """Reports `odd` in odd steps alone, and `bad` with a value that is not finite in step 1."""

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        number = len(self.seen)
        scalars = {"odd": torch.tensor(float(number))} if number % 2 else {}
        bad = torch.tensor([2.0, math.nan, 4.0, math.inf, math.inf, -math.inf][number])
        return StepOutput(super().step(indices).loss, {**scalars, "bad": bad})


def test_scalars_are_averaged_over_the_steps_that_have_them(tmp_path: Path) -> None:
    train(Gauges(), tmp_path, epochs=2, checkpoint_seconds=0)
    first, second = RunFolder(tmp_path).read_log()
    assert (first["odd"], first["bad"]) == (1, 3)
    assert second["odd"] == 4
    assert "bad" not in second


def test_observers_are_told_the_config_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[set[str]] = []

    def started(_: object, config: Mapping[str, Any]) -> None:
        told.append(set(config))

    monkeypatch.setattr(loop_module.Observers, "started", started)
    loop = Loop(TinyJob(), config(), 3, RunFolder(tmp_path), execution())
    loop.train({"id": "x", "config": {"seed": 3, "method": {}}}, resume=False)
    assert told == [{"seed", "method"}]


class Signalled(TinyJob):
    """Is sent SIGINT in step `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        if len(self.seen) == self._at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(indices)


@pytest.mark.parametrize("at", [4, 8])
def test_an_interrupt_is_heard_in_every_step_and_also_the_last(tmp_path: Path, at: int) -> None:
    with pytest.raises(Interrupted, match=rf"after step {at + 1} of 9.*--resume"):
        train(Signalled(at), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == [f"step-{at + 1:09d}"]
    resumed = TinyJob()
    assert train(resumed, tmp_path, resume=True).step == 9
    assert len(resumed.seen) == 8 - at


def test_an_interrupt_while_the_last_checkpoint_is_written_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = loop_module.save_checkpoint

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        save(*arguments)

    monkeypatch.setattr(loop_module, "save_checkpoint", interrupted)
    with pytest.raises(Interrupted, match="after step 9 of 9"):
        train(TinyJob(), tmp_path)


class Slow(Signalled):
    """Takes 50 ms a step."""

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        time.sleep(0.05)
        return super().step(indices)


def test_time_and_memory_count_all_processes_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_module, "peak_memory", lambda: 700)
    with pytest.raises(Interrupted):
        train(Slow(5), tmp_path)
    monkeypatch.setattr(loop_module, "peak_memory", lambda: 300)
    state = train(Slow(99), tmp_path, resume=True)
    assert state.peak_memory == 700
    assert 0.45 <= state.seconds <= state.wall_seconds
    again = train(TinyJob(), tmp_path, resume=True)
    assert (again.wall_seconds, again.peak_memory) == (state.wall_seconds, 700)


def test_a_run_may_end_in_mid_epoch(tmp_path: Path) -> None:
    state = train(TinyJob(), tmp_path, max_steps=4)
    assert state.step == 4
    rows = RunFolder(tmp_path).read_log()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 3), (2, 4)]


@pytest.mark.parametrize("kind", ["input", "gradient"])
def test_a_non_finite_step_leaves_no_trace(tmp_path: Path, kind: str) -> None:
    job = TinyJob(bad={0: kind})
    before = state_of(job)
    state = train(job, tmp_path, max_steps=1)
    assert (state.step, state.skipped) == (1, 1)
    assert job.tiny.calls[-1] == ("after", 0, False)
    for name, value in state_of(job).items():
        assert torch.equal(value, before[name]), name
    assert RunFolder(tmp_path).read_log()[-1]["loss"] is None


@pytest.mark.parametrize("kind", ["input", "gradient"])
def test_training_goes_on_after_single_non_finite_steps(tmp_path: Path, kind: str) -> None:
    job = TinyJob(bad=dict.fromkeys((0, 1, 2, 3, 5, 6, 7), kind))
    state = train(job, tmp_path)
    assert (state.step, state.skipped) == (9, 7)
    assert [call[2] for call in job.tiny.calls if call[0] == "after"] == [
        step in (4, 8) for step in range(9)
    ]
    assert all(torch.isfinite(value).all() for value in state_of(job).values())
    assert RunFolder(tmp_path).read_log()[-1]["skipped"] == 7


def test_five_in_a_row_end_the_run_with_its_state_kept(tmp_path: Path) -> None:
    job = TinyJob(bad=dict.fromkeys(range(2, 9), "input"))
    with pytest.raises(TrainingError, match=r"5 steps in a row.*learning_rate"):
        train(job, tmp_path)
    assert job.tiny.calls[-1] == ("after", 6, False)
    (kept,) = (tmp_path / "checkpoint").iterdir()
    state = json.loads((kept / "state.json").read_text())
    assert (kept.name, state["step"], state["skipped"]) == ("step-000000007", 7, 5)

    mended = TinyJob()
    assert train(mended, tmp_path, resume=True).skipped == 5
    assert len(mended.seen) == 2
    assert all(torch.isfinite(value).all() for value in state_of(mended).values())


def test_resuming_a_finished_loop_trains_no_more(tmp_path: Path) -> None:
    whole = TinyJob()
    train(whole, tmp_path)
    log = (tmp_path / "log.jsonl").read_text()
    again = TinyJob()
    assert train(again, tmp_path, resume=True).step == 9
    assert again.seen == []
    assert (tmp_path / "log.jsonl").read_text() == log
    assert all(torch.equal(v, state_of(again)[k]) for k, v in state_of(whole).items())


@pytest.mark.parametrize(
    ("key", "other"),
    [("threads", 97), ("precision", "bf16"), ("device", "cuda"), ("processes", 2)],
)
def test_resuming_with_another_execution_is_said(tmp_path: Path, key: str, other: object) -> None:
    train(TinyJob(), tmp_path, precision="fp32")
    (kept,) = (tmp_path / "checkpoint").iterdir()
    state = json.loads((kept / "state.json").read_text())
    (kept / "state.json").write_text(json.dumps({**state, key: other}))
    said = rf"^resumed with {key} {other} -> {state[key]}: .* equal bit for bit"
    with pytest.warns(ResumeWarning, match=said):
        train(TinyJob(), tmp_path, resume=True, precision="fp32")


@pytest.mark.parametrize("kept", ["fp32", "bf16"])
@pytest.mark.filterwarnings("error")
def test_an_automatic_precision_is_that_of_the_beginning(tmp_path: Path, kept: Any) -> None:
    def trained(execution: Execution, resume: bool) -> None:
        loop = Loop(TinyJob(), config(), 3, RunFolder(tmp_path), execution)
        loop.train({"config": {}}, resume=resume)

    device, threads = torch.device("cpu"), torch.get_num_threads()
    trained(Execution(device, kept, threads), resume=False)
    other: Any = "fp32" if kept == "bf16" else "bf16"
    chosen = Execution(device, other, threads, automatic=True)
    trained(chosen, resume=True)
    assert chosen.precision == kept


def test_a_batch_larger_than_the_set_is_refused() -> None:
    assert steps_per_epoch(12, 5) == 2
    assert total_steps(12, config(batch_size=5)) == 6
    with pytest.raises(DataError, match=r"batch of 13 .* set of 12 .*batch_size to 12"):
        steps_per_epoch(12, 13)


def test_embedding_spread() -> None:
    torch.manual_seed(0)
    assert embedding_spread(torch.randn(20000, 64)) == pytest.approx(1, abs=0.01)
    assert embedding_spread(torch.randn(1, 64).expand(100, 64) * 7) == pytest.approx(0, abs=1e-5)
    opposite = torch.tensor([[3.0, 0.0], [-1.0, 0.0]])
    assert embedding_spread(opposite) == pytest.approx(math.sqrt(2) / 2)


class Slope(TinyJob):
    """The gradient is (3, 4) in step 0, and ten times that in step 1; it asks to stop in step 2."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Mapping[str, float]] = []

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        factor = 10 ** len(self.seen)
        self.seen.append(indices.tolist())
        weights = self.tiny.layer.weight
        return StepOutput(factor * (3 * weights[0, 0] + 4 * weights[1, 1]))

    def stepped(self, scalars: Mapping[str, float]) -> None:
        self.told.append(scalars)

    @property
    def stop_reason(self) -> str:
        return "It goes nowhere." if len(self.told) == 2 else ""


def test_the_gradient_norm_is_logged_and_a_job_can_end_its_run(tmp_path: Path) -> None:
    job = Slope()
    with pytest.raises(TrainingError, match=r"after step 2 of 9: It goes nowhere\. The log"):
        train(job, tmp_path)
    norms = [scalars["gradient_norm"] for scalars in job.told]
    assert norms == pytest.approx([5, 50])
    (row,) = RunFolder(tmp_path).read_log()
    assert (row["epoch"], row["step"]) == (1, 2)
    assert row["gradient_norm"] == pytest.approx(27.5)
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["step-000000002"]


class Constant(Trainable):
    """A weight whose gradient is 1, so that a step of plain descent is as long as its rate."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
        self.places: list[float] = []

    def forward(self) -> Tensor:
        return self.weight.sum()

    def after_step(self, step: int, committed: bool) -> None:
        self.places.append(float(self.weight.detach()))


class Slide(Job):
    title = "slide"

    def __init__(self) -> None:
        self.module = self.constant = Constant()
        self.images = IMAGES

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        return StepOutput(self.module())


def test_each_step_has_the_rate_of_the_schedule(tmp_path: Path) -> None:
    job = Slide()
    optimizer = OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0, weight_decay=0)
    settings = TrainingConfig(epochs=2, batch_size=4, optimizer=optimizer)
    Loop(job, settings, 0, RunFolder(tmp_path), execution()).train({"config": {}}, resume=False)
    moves = -np.diff([0.0, *job.constant.places])
    assert moves == pytest.approx([0.05 * (1 + math.cos(math.pi * n / 6)) for n in range(6)])
