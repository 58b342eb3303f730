"""Whole loops over a small net with batch normalisation, in one process or several."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry.config.training import OptimizerConfig, TrainingConfig
from ssl_registry.files import write_json
from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.nn.distributed import rank, world_size
from ssl_registry.training.device import choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.window import LONGEST

IMAGES, BATCH, EPOCHS = 24, 12, 2
CASES: dict[str, dict[str, Any]] = {
    "together": {},
    "in micro-batches": {"accumulation": 2},
    "apart": {"sync_batch_norm": False},
    "one bad image": {},
    "one bad image in a window": {},
}


class Net(Trainable):
    """Its loss is the mean over images; they know of each other by batch normalisation.

    Args:
        apart: Of how many processes it imitates those that normalise their own images.
    """

    noise: Tensor

    def __init__(self, apart: int = 1) -> None:
        super().__init__()
        # What is drawn differs by process: all must start from what the first one has.
        torch.manual_seed(rank())
        self.first, self.norm, self.last = nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)
        self.idle = nn.Linear(2, 1)  # a loss may leave parameters out
        self.register_buffer("noise", torch.randn(2))
        self.apart = apart

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x + self.noise)
        if self.apart > 1 and self.training:
            return self.last(torch.stack(self._parts(features), dim=1).flatten(0, 1))
        return self.last(self.norm(features))

    def _parts(self, features: Tensor) -> list[Tensor]:
        kept = torch.stack([self.norm.running_mean, self.norm.running_var])
        moved = [kept.clone() for _ in range(self.apart)]
        settings = (self.norm.weight, self.norm.bias, True, self.norm.momentum, self.norm.eps)
        parts = [
            F.batch_norm(features[part :: self.apart], *statistics, *settings)
            for part, statistics in enumerate(moved)
        ]
        self.norm.running_mean, self.norm.running_var = torch.stack(moved).mean(dim=0)
        self.norm.num_batches_tracked += 1
        return parts


class Fit(Job):
    """Images are points; in the second step one of image 5's numbers is infinite if it is bad."""

    title = "fit"

    def __init__(self, apart: int, bad: bool) -> None:
        self.module = Net(apart).double()
        self.images = IMAGES
        self.seen: list[list[int]] = []
        self.drawn: list[float] = []
        self._bad = bad
        self._wrapped: nn.Module = self.module

    def forward_by(self, wrapped: nn.Module) -> None:
        self._wrapped = wrapped

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        ids = torch.from_numpy(indices).double()
        x = torch.stack([(ids * 0.7).sin(), (ids * 1.9).cos() + 3], dim=1)
        if self._bad:
            x[ids == 5] = math.inf
        if self.module.training:
            self.seen.append(indices.tolist())
            self.drawn.append(float(torch.rand(())))
        y = self._wrapped(x)
        return StepOutput((y[:, 0] - x[:, 0] * x[:, 1]).square().mean(), {"mean": x.mean()}, y)


def run_loops(folder: Path, apart: int = 1) -> None:
    """Run each case's loop in this process, in a folder of its own: `folder`/case/rank."""
    for case, settings in CASES.items():
        place = folder / case / str(rank())
        place.mkdir(parents=True)
        config = TrainingConfig(
            epochs=EPOCHS,
            batch_size=BATCH,
            device="cpu",
            precision="fp32",
            optimizer=OptimizerConfig(name="sgd", learning_rate=0.05),
            **settings,
        )
        job = Fit(apart if case == "apart" else 1, bad=case.startswith("one bad"))
        run = RunFolder(place)
        LONGEST["cpu"] = 2 if case.endswith("window") and world_size() > 1 else 1
        Loop(job, config, 0, run, choose_execution(config)).train({"config": {}}, resume=False)
        save_file(job.module.state_dict(), folder / case / f"{rank()}.safetensors")
        write_json(folder / case / f"{rank()}.json", {"seen": job.seen, "drawn": job.drawn})
