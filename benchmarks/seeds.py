r"""Time the steps of fine-tunings that differ in their seed alone, trained together or one by one.

    python benchmarks/seeds.py --sizes 32 64 --seeds 3 --rounds 5

- in turn: each network takes its step for itself, with all threads.
- stacked (`--precision fp32`): one network that holds the weights of all seeds, by
  `torch.func.vmap`, whose batch normalisation takes no bf16 activations with fp32 weights.
- streams (CUDA): each network on a stream of its own.
- processes: `--workers` processes that share the threads (or the GPU), a network each, as the
  workers of a study do.

Ratios are to "in turn" of the same round, per step of one network; above 1 is faster. The steps are
those of the study: ResNet-18 and the U-Net decoder, 16 images, Adam.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from ssl_registry import SegmentationBatch, SegmentationNetwork, Task, TaskContext
from ssl_registry.build import create
from ssl_registry.config.training import TrainingConfig
from ssl_registry.training.device import Execution, choose_execution

IMAGES = 16
RATE = 1e-4


@dataclass
class Cell:
    """Networks of several seeds, a batch for each, and the ways to train them a step."""

    size: int
    seeds: int
    execution: Execution
    tasks: list[Task] = field(init=False)
    batches: list[SegmentationBatch] = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = [_task(seed, self.execution) for seed in range(self.seeds)]
        shape = (IMAGES, 3, self.size, self.size)
        device = self.execution.device
        self.batches = [
            SegmentationBatch(
                torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last),
                (torch.rand(IMAGES, self.size, self.size, device=device) > 0.9).to(torch.uint8),
            )
            for _ in self.tasks
        ]

    def in_turn(self) -> Callable[[], None]:
        """A step of each network after the other."""
        optimizers = [_adam(list(task.parameters())) for task in self.tasks]

        def step() -> None:
            for task, optimizer, batch in zip(self.tasks, optimizers, self.batches, strict=True):
                _step(task, optimizer, batch, self.execution)

        return step

    def streams(self) -> Callable[[], None]:
        """A step of each network on its own CUDA stream."""
        optimizers = [_adam(list(task.parameters())) for task in self.tasks]
        streams = [torch.cuda.Stream() for _ in self.tasks]  # type: ignore[no-untyped-call]

        def step() -> None:
            both = zip(streams, self.tasks, optimizers, self.batches, strict=True)
            for stream, task, optimizer, batch in both:
                with torch.cuda.stream(stream):
                    _step(task, optimizer, batch, self.execution)

        return step

    def stacked(self) -> Callable[[], None]:
        """A step of all networks as one."""
        # `vmap` goes through torch's own convolutions only.
        tasks = [_task(seed, self.execution, placed=False) for seed in range(len(self.tasks))]
        for task in tasks:
            nn.Module.to(task, self.execution.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters, buffers = stack_module_state(list(tasks))
        optimizer = _adam(list(parameters.values()))
        images = torch.stack([batch.images for batch in self.batches])
        masks = torch.stack([batch.masks for batch in self.batches])
        task = tasks[0]

        def loss(
            weights: dict[str, Tensor], state: dict[str, Tensor], images: Tensor, masks: Tensor
        ) -> Tensor:
            batch = SegmentationBatch(images, masks)
            value: Tensor = functional_call(task, (weights, state), (batch, None)).loss
            return value

        gradients = vmap(grad(loss))

        def step() -> None:
            found = gradients(parameters, buffers, images, masks)
            for name, parameter in parameters.items():
                parameter.grad = found[name]
            optimizer.step()

        return step


def _task(seed: int, execution: Execution, placed: bool = True) -> Task:
    torch.manual_seed(seed)
    backbone = create("backbone", "resnet18", in_channels=3)
    decoder = create("decoder", "unet", channels=backbone.channels, reductions=backbone.reductions)
    network = SegmentationNetwork(backbone, decoder, 1)
    context = TaskContext(("lesion",), exclusive=True, total_steps=1000)
    task: Task = create("task", "supervised", network=network, context=context)
    if placed:
        execution.place(task)
    return task.train()


def _adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=RATE, fused=True)


def _step(
    task: Task, optimizer: torch.optim.Optimizer, batch: SegmentationBatch, execution: Execution
) -> None:
    optimizer.zero_grad(set_to_none=True)
    with execution.autocast():
        loss = task(batch, None).loss
    torch.autograd.backward(loss)
    optimizer.step()


def _seconds(step: Callable[[], None], steps: int) -> float:
    """Seconds of a call of `step`, the mean of several."""
    _synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _synchronize()
    return (time.perf_counter() - start) / steps


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _serve(
    config: dict[str, Any], size: int, steps: int, rounds: int, gate: Barrier, answers: Any
) -> None:
    """A worker: each round it waits for the others and answers with its seconds a step."""
    cell = Cell(size, 1, choose_execution(TrainingConfig(**config)))
    step = cell.in_turn()
    _seconds(step, 2)
    for _ in range(rounds):
        gate.wait()
        answers.put(_seconds(step, steps))
        gate.wait()


def measure(size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Medians of the seconds that a step of one network takes, each way."""
    given = {"device": arguments.device, "precision": arguments.precision}
    execution = choose_execution(TrainingConfig(**given))
    threads, workers = torch.get_num_threads(), arguments.workers
    cell = Cell(size, arguments.seeds, execution)
    ways = {"in turn": cell.in_turn()}
    if execution.precision == "fp32":
        ways["stacked"] = cell.stacked()
    if execution.device.type == "cuda":
        ways["streams"] = cell.streams()
    for step in ways.values():
        _seconds(step, 2)
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(workers + 1), context.Queue()
    config = {**given, "threads": max(1, threads // workers)}
    work = (config, size, arguments.steps, arguments.rounds, gate, answers)
    processes = [context.Process(target=_serve, args=work) for _ in range(workers)]
    for process in processes:
        process.start()
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, "processes")}
    for _ in range(arguments.rounds):
        for name, step in ways.items():
            seconds[name].append(_seconds(step, arguments.steps) / arguments.seeds)
        gate.wait()
        slowest = max(answers.get() for _ in processes)
        seconds["processes"].append(slowest / workers)
        gate.wait()
    for process in processes:
        process.join()
    return {
        "size": size,
        "precision": execution.precision,
        "threads": threads,
        "ways": {name: _row(found, seconds["in turn"]) for name, found in seconds.items()},
    }


def _row(seconds: list[float], plain: list[float]) -> dict[str, float]:
    ratios = sorted(one / other for one, other in zip(plain, seconds, strict=True))
    return {
        "milliseconds": 1000 * statistics.median(seconds),
        "ratio": statistics.median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time seeds that are trained together.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64], help="Image sides, px.")
    parser.add_argument("--seeds", type=int, default=3, help="Networks.")
    parser.add_argument("--workers", type=int, default=2, help="Processes at a time.")
    parser.add_argument("--steps", type=int, default=10, help="Steps that are timed at a time.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of all ways.")
    parser.add_argument("--device", default="auto", help="Where to compute.")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16"), default="auto", help="As in a config."
    )
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    arguments = parser.parse_args()
    found = []
    for size in arguments.sizes:
        found.append(measure(size, arguments))
        head = f"{size} px, {found[-1]['precision']}, {arguments.seeds} networks"
        for name, row in found[-1]["ways"].items():
            sys.stdout.write(
                f"{head}, {name}: {row['milliseconds']:.1f} ms a step of one, "
                f"{row['ratio']:.2f} times as fast ({row['lowest']:.2f} to {row['highest']:.2f})\n"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
