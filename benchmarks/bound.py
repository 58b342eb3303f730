"""What a step of pre-training costs at least: the network's own arithmetic, on a batch in memory.

    python benchmarks/bound.py --networks resnet18 resnet50 unet --sizes 32 64

A step is forward, backward and optimizer of a method, as the training loop takes it, on one batch
of noise. Each way of doing it (precision, layout, optimizer) is measured in turn with the others,
round by round; the table gives medians, and the ratio to the first way. `--allocator default`
leaves the C library as it is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from ssl_registry.build import build_method
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.interfaces.augmentation import Views
from ssl_registry.interfaces.method import Method, MethodContext, PretrainBatch
from ssl_registry.nn.small_maps import use_small_maps
from ssl_registry.training.allocator import keep_freed_memory
from ssl_registry.training.device import Execution, Precision
from ssl_registry.training.monitoring import peak_memory
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.pretrain import build_trunk
from ssl_registry.training.schedule import Schedule

NETWORKS: dict[str, dict[str, str]] = {
    "resnet18": {"backbone": "resnet18"},
    "resnet50": {"backbone": "resnet50"},
    "unet": {"backbone": "unet_encoder", "decoder": "unet"},
}
WAYS: dict[str, tuple[Precision, bool, bool, bool]] = {
    "fp32, channels first, unfused": ("fp32", False, False, False),
    "fp32, channels first": ("fp32", False, True, False),
    "fp32, torch's convolutions": ("fp32", True, True, False),
    "fp32": ("fp32", True, True, True),
    "bf16, torch's convolutions": ("bf16", True, True, False),
    "bf16": ("bf16", True, True, True),
}
"""Precision, whether channels are last, whether the optimizer is fused, and small maps are
matrix products; on a GPU the last is no way of its own."""


class Bound:
    """Steps of a method on one batch that is already there.

    Args:
        method: The method; it is trained.
        config: Its run.
        execution: Device and precision.
    """

    def __init__(self, method: Method, config: PretrainConfig, execution: Execution) -> None:
        self._method, self._execution = method, execution
        size, number = config.image_size, config.training.batch_size
        shape = (number, config.channels, size, size)
        generator = torch.Generator().manual_seed(0)
        first, second = (
            torch.randn(shape, generator=generator).to(execution.device) for _ in range(2)
        )
        ids = torch.arange(number, device=execution.device)
        self._batch = PretrainBatch(views=Views(images=(first, second)), sample_id=ids)
        self._optimizer = ScheduledOptimizer(
            method, config.training.optimizer, Schedule(1e-6, 1e-6, 0, 2)
        )
        self._optimizer.set_step(0)

    def unfused(self) -> None:
        """Let the optimizer take an operation at a time."""
        for group in self._optimizer.optimizer.param_groups:
            group["fused"] = False

    def step(self) -> None:
        """One step."""
        self._method.train()
        self._method.before_step(0)
        self._optimizer.zero_grad()
        with self._execution.autocast():
            loss = self._method(self._batch).loss
        torch.autograd.backward(loss)
        self._optimizer.step()
        self._method.after_step(0, True)

    def seconds(self, steps: int) -> float:
        """Wall time of some steps."""
        began = now(self._execution.device)
        for _ in range(steps):
            self.step()
        return now(self._execution.device) - began


def torch_convolutions(asked: bool) -> AbstractContextManager[object]:
    """Leave small maps to torch where networks are placed meanwhile, if asked to."""
    return mock.patch("ssl_registry.training.device.use_small_maps") if asked else nullcontext()


def now(device: torch.device) -> float:
    """The clock, once a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def config_of(method: str, network: str, size: int, batch: int) -> PretrainConfig:
    """A pre-training without data."""
    table = {
        "image_size": size,
        "method": method,
        "data": ["phantom"],
        "training": {"batch_size": batch},
        **NETWORKS[network],
    }
    return validate(PretrainConfig, table, "the benchmark")


def method_of(config: PretrainConfig) -> Method:
    """The config's method around a fresh trunk."""
    context = MethodContext(
        num_images=10 * config.training.batch_size,
        total_steps=100,
        batch_size=config.training.batch_size,
        image_size=config.image_size,
        channels=config.channels,
    )
    return build_method(config.method, build_trunk(config), context)


def bounds_of(config: PretrainConfig, device: torch.device) -> dict[str, Bound]:
    """A bound for each way of doing the arithmetic."""
    bounds = {}
    for name, (precision, last, fused, small) in WAYS.items():
        method = method_of(config)
        layout = torch.channels_last if last else torch.contiguous_format
        nn.Module.to(method, device, memory_format=layout)  # type: ignore[call-overload]
        if small and device.type == "cpu":
            use_small_maps(method)
        bounds[name] = Bound(method, config, Execution(device, precision, torch.get_num_threads()))
        if not fused:
            bounds[name].unfused()
    return bounds


def main() -> None:
    """Measure in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["resnet18"], choices=NETWORKS)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64])
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--allocator", default="keep", choices=("keep", "default"))
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    if options.allocator == "keep":
        keep_freed_memory()
    results = []
    print(f"| network | px | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}")
    for network in options.networks:
        for size in options.sizes:
            config = config_of(options.method, network, size, options.batch_size)
            bounds = bounds_of(config, torch.device(options.device))
            times: dict[str, list[float]] = {name: [] for name in bounds}
            for number in range(options.rounds + 1):
                for name, bound in bounds.items():
                    seconds = bound.seconds(1)
                    if number:  # the first round warms up
                        times[name].append(seconds)
            medians = {name: statistics.median(values) for name, values in times.items()}
            first = next(iter(medians.values()))
            cells = [f"{value:.3f} s ({first / value:.2f})" for value in medians.values()]
            print(f"| {network} | {size} | {' | '.join(cells)} |", flush=True)
            results.append({"network": network, "size": size, "seconds": times})
    print(f"\npeak memory {peak_memory() / 2**20:.0f} MiB, {torch.get_num_threads()} threads")
    if options.json:
        options.json.write_text(json.dumps({**vars(options), "json": None, "results": results}))


if __name__ == "__main__":
    main()
