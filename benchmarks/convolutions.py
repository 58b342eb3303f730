"""Convolutions of small maps, by torch's kernels and as matrix products.

    python benchmarks/convolutions.py

Forward and backward of single layers on maps whose channels are last, by `nn.Conv2d` and by
`SmallMapConv2d` in turn. `ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16` before the command tells what a
processor without AMX would take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ssl_registry.nn.small_maps import SmallMapConv2d
from ssl_registry.training.allocator import keep_freed_memory


class Layer(NamedTuple):
    """A convolution of square maps, padded to keep their size but for the stride."""

    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int

    @property
    def name(self) -> str:
        """In words."""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return (
            f"{self.inputs} to {self.outputs}, {self.size}x{self.size} px, "
            f"{self.kernel}x{self.kernel}{stride}"
        )


LAYERS = [
    Layer(512, 512, 1, 3, 1),
    Layer(512, 512, 2, 3, 1),
    Layer(256, 512, 4, 3, 2),
    Layer(512, 512, 4, 3, 2),
    Layer(256, 512, 4, 1, 2),
    Layer(128, 128, 4, 3, 1),
    Layer(256, 256, 4, 3, 1),
    Layer(128, 256, 8, 3, 2),
    Layer(64, 64, 8, 3, 1),
]
"""Of ResNet-18 and ResNet-50 for images of 32 and 64 px; the last is left to torch."""


def step(layer: nn.Conv2d, images: torch.Tensor, precision: str) -> float:
    """Seconds of a forward and a backward pass."""
    layer.weight.grad = images.grad = None
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        out = layer(images)
    out.backward(torch.ones_like(out))
    return time.perf_counter() - began


def measure(layer: Layer, number: int, precision: str, rounds: int) -> dict[str, object]:
    """Medians of both, and of the rounds' ratios."""
    convolutions = [
        kind(
            layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.kernel // 2, bias=False
        ).to(memory_format=torch.channels_last)
        for kind in (nn.Conv2d, SmallMapConv2d)
    ]
    images = torch.randn(number, layer.inputs, layer.size, layer.size)
    images = images.to(memory_format=torch.channels_last).requires_grad_()
    seconds: list[list[float]] = [[], []]
    for _ in range(rounds + 2):  # two to warm up
        for times, convolution in zip(seconds, convolutions, strict=True):
            times.append(step(convolution, images, precision))
    plain, products = (times[2:] for times in seconds)
    return {
        "layer": layer.name,
        "precision": precision,
        "images": number,
        "torch_ms": 1000 * statistics.median(plain),
        "products_ms": 1000 * statistics.median(products),
        "ratio": statistics.median(a / b for a, b in zip(plain, products, strict=True)),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[512], help="Maps at once.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print("| layer | images | precision | torch, ms | products, ms | times as fast |")
    print("|---|---|---|---|---|---|")
    found = []
    for layer in LAYERS:
        for number in options.images:
            for precision in ("fp32", "bf16"):
                row = measure(layer, number, precision, options.rounds)
                found.append(row)
                print(
                    f"| {layer.name} | {number} | {precision} | {row['torch_ms']:.1f} "
                    f"| {row['products_ms']:.1f} | {row['ratio']:.2f} |",
                    flush=True,
                )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
