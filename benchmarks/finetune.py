r"""Time a fine-tuning epoch with its validation against its own bound, in turns.

    python benchmarks/finetune.py --data DATA/busi --sizes 32 64 --rounds 5

The bound is the arithmetic alone: forward, backward and optimizer step on one batch in memory, as
often as the epoch has steps, and the forward of the validation images in memory, as often as the
epoch validates. The epoch is all that a run does from its first step to its row in the log:
gathering, augmentation, checks of loss and gradient, validation with its scores, the best weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.evaluation.predictor import BATCH
from ssl_registry.interfaces.task import SegmentationBatch
from ssl_registry.training.device import choose_execution
from ssl_registry.training.finetune import FinetuneJob, build_finetuning, labelled_places
from ssl_registry.training.loop import Loop
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.schedule import Schedule
from ssl_registry.training.testing import load_labelled


class Epochs:
    """A fine-tuning of BUSI, and its bound, an epoch at a time."""

    def __init__(self, table: dict[str, object]) -> None:
        self.config = validate(FinetuneConfig, table, "the benchmark")
        self._execution = choose_execution(self.config.training)
        self._data = load_labelled(self.config)
        self._labelled = labelled_places(self._data, self.config)
        self.steps = len(self._labelled) // self.config.training.batch_size
        self._bound = self._make_bound()

    def _job(self) -> FinetuneJob:
        task = build_finetuning(self.config, self._data, self.steps)
        return FinetuneJob(task, self._data, self._labelled, self.config, self._execution)

    def epoch(self) -> float:
        """Seconds of a whole epoch, with its own network."""
        with tempfile.TemporaryDirectory() as folder:
            job, run = self._job(), RunFolder(Path(folder))
            loop = Loop(job, self.config.training, self.config.seed, run, self._execution)
            start = time.perf_counter()
            loop.train({"config": {}}, resume=False)
            return time.perf_counter() - start

    def bound(self) -> float:
        """Seconds of its arithmetic."""
        start = time.perf_counter()
        self._bound()
        if self._execution.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def _make_bound(self) -> Callable[[], None]:
        config, device, size = self.config, self._execution.device, self.config.image_size
        task = build_finetuning(config, self._data, self.steps)
        self._execution.place(task)
        schedule = Schedule(peak=1e-4, final=1e-5, warmup_steps=0, total_steps=self.steps)
        optimizer = ScheduledOptimizer(task, config.training.optimizer, schedule)
        count = config.training.batch_size
        images = torch.randn(count, config.channels, size, size, device=device)
        masks = (torch.rand(count, size, size, device=device) > 0.9).to(torch.uint8)
        batch = SegmentationBatch(images, masks)
        held_out = sum(
            part == "val" and sample.has_mask
            for sample, part in ((s, self._data.parts[s.id]) for s in self._data.samples)
        )
        validation = torch.randn(held_out, config.channels, size, size, device=device)

        def run() -> None:
            task.train()
            for _ in range(self.steps):
                optimizer.set_step(0)
                optimizer.zero_grad()
                with self._execution.autocast():
                    output = task(batch, None)
                torch.autograd.backward(output.loss)
                optimizer.step()
            task.eval()
            with torch.inference_mode(), self._execution.autocast():
                for start in range(0, len(validation), BATCH):
                    task.predictor(validation[start : start + BATCH])

        return run


def main() -> None:
    parser = argparse.ArgumentParser(description="Time fine-tuning epochs against their bound.")
    parser.add_argument("--data", type=Path, required=True, help="The folder of BUSI.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64], help="Image sides, px.")
    parser.add_argument("--backbone", default="resnet18", help="Encoder of the U-Net decoder.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of epoch and bound.")
    parser.add_argument("--device", default="auto", help="Where to compute.")
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    arguments = parser.parse_args()
    rows = []
    for size in arguments.sizes:
        table = {
            "backbone": arguments.backbone,
            "decoder": "unet",
            "image_size": size,
            "data": {"name": "busi", "root": arguments.data},
            "training": {"epochs": 1, "device": arguments.device},
        }
        epochs = Epochs(table)
        epochs.bound()  # the first steps allocate
        pairs = [(epochs.epoch(), epochs.bound()) for _ in range(arguments.rounds)]
        ratios = sorted(epoch / bound for epoch, bound in pairs)
        rows.append(
            {
                "size": size,
                "steps": epochs.steps,
                "epoch_seconds": statistics.median(epoch for epoch, _ in pairs),
                "bound_seconds": statistics.median(bound for _, bound in pairs),
                "ratio": statistics.median(ratios),
                "ratio_range": [ratios[0], ratios[-1]],
            }
        )
        row = rows[-1]
        sys.stdout.write(
            f"{arguments.backbone} and U-Net at {size} px, {epochs.steps} steps and validation: "
            f"{row['epoch_seconds']:.2f} s, bound {row['bound_seconds']:.2f} s, ratio "
            f"{row['ratio']:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})\n"
        )
    if arguments.json:
        found = {"backbone": arguments.backbone, "cores": os.cpu_count(), "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
