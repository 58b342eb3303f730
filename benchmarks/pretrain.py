"""What an epoch of pre-training costs beside the bare arithmetic of its network.

    python benchmarks/pretrain.py --data DATA --methods simclr moco simsiam

An epoch gathers batches from the cache, augments them and takes steps, in the training loop as it
is. The bound is the same method's forward, backward and optimizer step on a batch that is already
in memory, in the same precision (`bound.py`). Both are measured in turn, in one run: an epoch,
then as many steps of the bound, and so on. The table gives the medians, and the median and range
of the ratios of the pairs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bound import NETWORKS, Bound, now, torch_convolutions
from numpy.typing import NDArray

from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.pool import load_pool
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop, steps_per_epoch, total_steps
from ssl_registry.training.pretrain import PretrainJob, build_job, build_trunk
from ssl_registry.training.run_folder import RunFolder


class TimedJob(Job):
    """A pre-training job that measures its bound after each epoch."""

    title = "benchmark"

    def __init__(
        self, job: PretrainJob, images: int, config: PretrainConfig, execution: Execution
    ) -> None:
        self._job, self._device = job, execution.device
        self.module, self.images = job.module, images
        self._bound = Bound(job.module, config, execution)
        self._steps = steps_per_epoch(images, config.training.batch_size)
        self.epochs: list[float] = []
        self.bounds: list[float] = []
        self.cpu_ratios: list[float] = []
        self._began = self._began_cpu = 0.0

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The first images of the job's own order."""
        return self._job.order(seed, epoch)[: self.images]

    def prepare(self, coming: Sequence[NDArray[np.int64]]) -> None:
        """As the job itself."""
        self._job.prepare(coming)

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """As the job itself."""
        return self._job.step(indices)

    def start(self) -> None:
        """Start the clocks of an epoch."""
        self._began, self._began_cpu = now(self._device), time.process_time()

    def epoch_ended(self, epoch: int, last: bool) -> Mapping[str, float]:
        """Note the epoch's time, then take as many steps on the batch in memory."""
        self.epochs.append(now(self._device) - self._began)
        cpu = time.process_time()
        spent = cpu - self._began_cpu
        self.bounds.append(self._bound.seconds(self._steps))
        self.cpu_ratios.append(spent / (time.process_time() - cpu))
        self.start()
        return {}


def measure(
    method: str, network: str, size: int, batch_size: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Epochs and bounds of one setting."""
    table = {
        "image_size": size,
        "method": method,
        "data": [{"name": "busi", "root": str(options.data / "busi")}],
        "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
        "training": {
            "epochs": options.pairs + 1,
            "batch_size": batch_size,
            "checkpoint_seconds": 1e9,
            "precision": options.precision,
            "device": options.device,
        },
        **NETWORKS[network],
    }
    config = validate(PretrainConfig, table, "the benchmark")
    execution = choose_execution(config.training)
    pool = load_pool(config.data, config.parts, size=config.stored_size, channels=config.channels)
    images = min(len(pool), options.steps * batch_size) if options.steps else len(pool)
    steps = total_steps(images, config.training)
    inner = build_job(config, build_trunk(config), pool, steps, execution)
    with tempfile.TemporaryDirectory() as folder, torch_convolutions(options.plain):
        execution.place(inner.module)
        job = TimedJob(inner, images, config, execution)
        loop = Loop(job, config.training, config.seed, RunFolder(Path(folder)), execution)
        job.start()
        loop.train({"config": {}}, resume=False)
    pairs = zip(job.epochs[1:], job.bounds[1:], strict=True)
    return {
        "method": method,
        "network": network,
        "size": size,
        "batch_size": batch_size,
        "precision": execution.precision,
        "threads": execution.threads,
        "images": job.images // batch_size * batch_size,
        "epoch_seconds": job.epochs[1:],
        "bound_seconds": job.bounds[1:],
        "ratios": [epoch / bound for epoch, bound in pairs],
        "cpu_ratios": job.cpu_ratios[1:],
    }


def row(result: Mapping[str, Any]) -> str:
    """A line of the table."""
    epoch, bound, ratio, cpu = (
        statistics.median(result[name])
        for name in ("epoch_seconds", "bound_seconds", "ratios", "cpu_ratios")
    )
    low, high = min(result["ratios"]), max(result["ratios"])
    return (
        f"| {result['method']} | {result['network']} | {result['size']} | {result['batch_size']} "
        f"| {result['precision']} | {epoch:.3f} s | {bound:.3f} s "
        f"| {ratio:.3f} ({low:.2f} to {high:.2f}) | {cpu:.3f} | {result['images'] / epoch:.0f} |"
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--methods", nargs="+", default=["simclr"])
    parser.add_argument("--networks", nargs="+", default=["resnet18"], choices=NETWORKS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[256])
    parser.add_argument(
        "--plain", action="store_true", help="all convolutions by torch, in epoch and bound"
    )
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="longest epoch, in steps; all images if left out")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    results = []
    print(
        "| method | network | px | batch | precision | epoch | bound | ratio | by CPU time "
        "| images/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    settings = itertools.product(
        options.methods, options.networks, options.sizes, options.batch_sizes
    )
    for method, network, size, batch_size in settings:
        result = measure(method, network, size, batch_size, options)
        results.append(result)
        print(row(result), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
