"""What an epoch of pre-training costs beside the bare arithmetic of its network.

    python benchmarks/pretrain_epoch.py --data ../shared/data --rounds 5

An epoch gathers batches from the cache, augments them and takes a step. The bound is the same
network's forward, backward and optimizer step on a batch that is already in memory. Both are
measured in turn, in one run; the medians and the median of the ratios are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.pool import load_pool
from ssl_registry.interfaces.augmentation import Views
from ssl_registry.interfaces.method import PretrainBatch
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.training.device import choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop, steps_per_epoch, total_steps
from ssl_registry.training.pretrain import PretrainJob, build_job, build_trunk
from ssl_registry.training.run_folder import RunFolder


class TimedJob(Job):
    """A pre-training job that measures its bound after each epoch."""

    def __init__(self, job: PretrainJob, config: PretrainConfig) -> None:
        self._job, self._config = job, config
        self.title, self.module, self.images = "benchmark", job.module, job.images
        self.epochs: list[float] = []
        self.bounds: list[float] = []
        self._optimizer = torch.optim.Adam(job.module.parameters(), lr=1e-6)
        size, batch = config.image_size, config.training.batch_size
        shape = (batch, config.channels, size, size)
        views = Views(images=(torch.randn(shape), torch.randn(shape)))
        self._batch = PretrainBatch(views=views, sample_id=torch.arange(batch))
        self._steps = steps_per_epoch(job.images, batch)
        self._began = time.perf_counter()

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """The step of the job itself."""
        return self._job.step(indices)

    def begin(self) -> None:
        """Start the clock of the first epoch."""
        self._began = time.perf_counter()

    def epoch_ended(self, epoch: int, last: bool) -> Mapping[str, float]:
        """Note the epoch's time, then take as many steps on the batch in memory."""
        self.epochs.append(time.perf_counter() - self._began)
        began = time.perf_counter()
        for _ in range(self._steps):
            self._optimizer.zero_grad(set_to_none=True)
            with choose_execution(self._config.training).autocast():
                loss = self.module(self._batch).loss
            loss.backward()
            self._optimizer.step()
        self.bounds.append(time.perf_counter() - began)
        self._began = time.perf_counter()
        return {}


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    options = parser.parse_args()
    table = {
        "image_size": options.image_size,
        "method": "simclr",
        "backbone": options.backbone,
        "data": [{"name": "busi", "root": str(options.data / "busi")}],
        "training": {
            "epochs": options.rounds + 1,
            "batch_size": 256,
            "checkpoint_seconds": 1e9,
            "precision": options.precision,
        },
    }
    config = validate(PretrainConfig, table, "the benchmark")
    execution = choose_execution(config.training)
    pool = load_pool(config.data, config.parts, size=config.stored_size, channels=config.channels)
    steps = total_steps(len(pool), config.training)
    inner = build_job(config, build_trunk(config), pool, steps, execution)
    job = TimedJob(inner, config)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(job, config.training, config.seed, RunFolder(Path(folder)), execution)
        job.begin()
        loop.train({"config": {}}, resume=False)
    epochs, bounds = job.epochs[1:], job.bounds[1:]
    ratios = [epoch / bound for epoch, bound in zip(epochs, bounds, strict=True)]
    result = {
        "threads": execution.threads,
        "epoch_seconds": statistics.median(epochs),
        "bound_seconds": statistics.median(bounds),
        "ratio": statistics.median(ratios),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
