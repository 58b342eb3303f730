"""What several processes and micro-batches ask of a step, as far as one process can tell."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.config.training import OptimizerConfig, TrainingConfig
from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.training.device import choose_execution
from ssl_registry.training.distributed import dealt, images_per_forward, joined, leaves_out
from ssl_registry.training.job import Job
from ssl_registry.training.launch import launched_processes, launched_session, refuse_several
from ssl_registry.training.loop import Loop
from ssl_registry.training.processes import agreed, exchange, of_leader, own_device
from ssl_registry.training.run_folder import RunFolder


class Line(Trainable):
    """A line through points; its loss is the mean over images, none knows of another."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        loss: Tensor = (self.slope(x) - x.square()).square().mean()
        return loss


class Fit(Job):
    """Images are their own numbers; in the steps of `bad` one of them is infinite."""

    title = "fit"

    def __init__(self, bad: set[int] | None = None) -> None:
        torch.manual_seed(1)
        self.module = Line()
        self.images = 12
        self.seen: list[list[int]] = []
        self._bad = bad or set()

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        x = torch.from_numpy(indices).float()[:, None] / 12
        if len(self.seen) in self._bad:
            x = x + math.inf
        self.seen.append(indices.tolist())
        return StepOutput(self.module(x), {"mean": x.mean()}, x)


def fit(folder: Path, accumulation: int, bad: set[int] | None = None) -> tuple[Fit, RunFolder]:
    folder.mkdir()
    config = TrainingConfig(
        epochs=3,
        batch_size=6,
        accumulation=accumulation,
        device="cpu",
        precision="fp32",
        optimizer=OptimizerConfig(name="sgd", learning_rate=0.1),
    )
    job, run = Fit(bad), RunFolder(folder)
    Loop(job, config, 0, run, choose_execution(config)).train({"config": {}}, resume=False)
    return job, run


def test_micro_batches_give_the_step_of_the_whole_batch(tmp_path: Path) -> None:
    whole, whole_run = fit(tmp_path / "whole", 1)
    parts, parts_run = fit(tmp_path / "parts", 3)
    assert [len(seen) for seen in parts.seen] == [2] * 18
    assert np.concatenate(parts.seen).tolist() == np.concatenate(whole.seen).tolist()
    for one, two in zip(whole.module.parameters(), parts.module.parameters(), strict=True):
        torch.testing.assert_close(two, one)
    for wanted, got in zip(whole_run.read_log(), parts_run.read_log(), strict=True):
        for name in ("step", "loss", "mean", "gradient_norm", "embedding_spread"):
            assert got[name] == pytest.approx(wanted[name], rel=1e-5), name


def test_one_micro_batch_that_is_not_finite_leaves_the_step_out(tmp_path: Path) -> None:
    job, run = fit(tmp_path / "run", 3, bad={4})  # the second part of the second step
    assert [row["skipped"] for row in run.read_log()] == [1, 1, 1]
    assert all(p.isfinite().all() for p in job.module.parameters())


def test_micro_batches_are_joined_to_means_and_all_embeddings() -> None:
    outputs = [
        StepOutput(torch.tensor(1.0), {"a": torch.tensor(2.0)}, torch.ones(2, 3)),
        StepOutput(torch.tensor(2.0), {"a": torch.tensor(4.0)}, torch.zeros(2, 3)),
    ]
    step = joined(outputs)
    assert (float(step.loss), float(step.scalars["a"])) == (1.5, 3)
    assert step.embeddings is not None and step.embeddings.sum(dim=1).tolist() == [3, 3, 0, 0]


def test_an_uneven_deal_is_refused_with_a_size_that_fits() -> None:
    assert images_per_forward(12, 3) == 4
    assert [part.tolist() for part in dealt(np.arange(6), 3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ConfigError, match=r"batch_size = 10 .*accumulation = 4.*such as 8"):
        images_per_forward(10, 4)


def test_parameters_that_a_loss_leaves_out_are_found() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(2, 2), nn.Linear(2, 2)

    module, x = Two(), torch.ones(3, 2)
    assert leaves_out(module, module.used(x).sum())
    assert not leaves_out(module, module.idle(module.used(x)).sum())
    module.idle.requires_grad_(False)
    assert not leaves_out(module, module.used(x).sum())


def test_one_process_has_nobody_to_agree_with() -> None:
    error = ConfigError("no")
    with pytest.raises(ConfigError) as caught, launched_session(), agreed():
        raise error
    assert caught.value is error
    assert exchange("word") == ["word"] and of_leader([1, "a"]) == [1, "a"]
    assert own_device("cuda:3") == "cuda:3" and launched_processes() == 1


@pytest.mark.parametrize("rank", ["0", "1"])
def test_what_runs_in_one_process_says_so_once(rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError if rank == "0" else SystemExit) as caught:
        refuse_several("fine-tuning")
    if rank == "0":
        assert "fine-tuning runs in one process, but 2 were launched" in str(caught.value)
    else:
        assert isinstance(caught.value, SystemExit) and caught.value.code == 0
