"""What augmentation costs, as a whole and operation by operation.

    python benchmarks/augment.py

Two views of a batch of 256 images, with SimCLR's settings: by the fast chain on one channel and on
three, by the same chain of kornia's modules, and by torchvision, image by image. Each in turn with
kornia's five modules with their own defaults on RGB, round by round; the tables give medians, and
how many times as fast as the five modules it was, with the range of the rounds. With --together all
are taken in turn, so that each finds the caches full of others' images.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from kornia.augmentation import (
    ColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from torch import Tensor, nn
from torchvision.transforms import v2

from ssl_registry.augment import FastChain, Jitter, TwoViews, blur_kernel, contrastive_chain
from ssl_registry.training.allocator import keep_freed_memory

SETTINGS: dict[str, Any] = {
    "crop_scale": (0.08, 1.0),
    "crop_ratio": (3 / 4, 4 / 3),
    "flip": 0.5,
    "jitter": Jitter(0.8, 0.8, 0.8, 0.2, share=0.8),
    "grayscale": 0.2,
    "blur": 0.5,
    "blur_sigma": (0.1, 2.0),
}
BASE = "kornia's five modules, RGB"
Work = Callable[[], object]


def five_modules(size: int) -> nn.Sequential:
    """The five modules with kornia's own defaults."""
    kernel = blur_kernel(size)
    return nn.Sequential(
        RandomResizedCrop((size, size), scale=(0.08, 1.0)),
        RandomHorizontalFlip(p=0.5),
        ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        RandomGrayscale(p=0.2),
        RandomGaussianBlur((kernel, kernel), (0.1, 2.0), p=0.5),
    )


def torchvision_chain(size: int) -> v2.Compose:
    """The same for one image."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.08, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([v2.GaussianBlur(blur_kernel(size), (0.1, 2.0))], p=0.5),
        ]
    )


def contenders(source: int, size: int, images: int) -> dict[str, Work]:
    """What is measured, by name."""
    colour = torch.rand(images, 3, source, source)
    gray = colour[:, :1].contiguous()
    chains = {
        "fast, gray": (TwoViews(contrastive_chain(size, 1, **SETTINGS)), gray),
        "fast, colour": (TwoViews(contrastive_chain(size, 3, **SETTINGS)), colour),
        "kornia's chain, gray": (
            TwoViews(contrastive_chain(size, 1, **SETTINGS, backend="kornia")),
            gray,
        ),
        "kornia's chain, RGB": (
            TwoViews(contrastive_chain(size, 3, **SETTINGS, backend="kornia")),
            colour,
        ),
        BASE: (TwoViews(five_modules(size)), colour),
    }
    works: dict[str, Work] = {
        name: partial(views, batch) for name, (views, batch) in chains.items()
    }
    single = torchvision_chain(size)
    works["torchvision, RGB"] = lambda: [single(image) for _ in range(2) for image in colour]
    return works


def operations(source: int, size: int, images: int, channels: int) -> dict[str, Work]:
    """Each operation of the fast chain on a batch of two views."""
    chain = contrastive_chain(size, channels, **SETTINGS)
    if not isinstance(chain, FastChain):
        raise TypeError("the fast chain is measured")
    stored = torch.rand(2 * images, channels, source, source)
    views = torch.rand(2 * images, channels, size, size)
    works: dict[str, Work] = {"crop, resize, flip": lambda: chain.crop(stored)}
    for operation in chain.operations:
        name = type(operation).__name__.removeprefix("Batch").removeprefix("Matrix").lower()
        works[name] = partial(operation, views)
    works["draws of all"] = lambda: chain._draw(2 * images, source, source)
    return works


def modules(source: int, size: int, images: int) -> dict[str, Work]:
    """Each of kornia's five modules on a batch of two views."""
    stored = torch.rand(2 * images, 3, source, source)
    views = torch.rand(2 * images, 3, size, size)
    works: dict[str, Work] = {}
    for number, module in enumerate(five_modules(size)):
        batch: Tensor = views if number else stored
        works[type(module).__name__] = partial(module, batch)
    return works


def milliseconds(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Those of each, taken in turn after a round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if number:
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def medians(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turn."""
    return {name: statistics.median(ms) for name, ms in milliseconds(works, rounds).items()}


def beside_base(works: Mapping[str, Work], rounds: int, together: bool) -> dict[str, Any]:
    """Median milliseconds of each, and its speed in those of `BASE`: median, least and most."""
    found: dict[str, Any] = {}
    shared = milliseconds(works, rounds) if together else {}
    for name, work in works.items():
        times = shared or milliseconds({BASE: works[BASE], name: work}, rounds)
        ratios = sorted(base / own for base, own in zip(times[BASE], times[name], strict=True))
        ratio = statistics.median(times[BASE]) / statistics.median(times[name])
        found[name] = {
            "ms": statistics.median(times[name]),
            "ratio": ratio,
            "range": [ratios[0], ratios[-1]],
        }
    return found


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs", nargs="+", default=["64:64", "80:64", "128:64", "40:32", "64:32"]
    )
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--together", action="store_true", help="all pipelines in turn")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    keep_freed_memory()  # as every training process does; kornia gains by it, too
    results: dict[str, Any] = {"threads": torch.get_num_threads()}
    for pair in options.pairs:
        source, size = (int(side) for side in pair.split(":"))
        works = contenders(source, size, options.images)
        whole = beside_base(works, options.rounds, options.together)
        print(f"\n{source} px -> two views of {size} px, {options.images} images\n")
        print("| pipeline | ms | times as fast as kornia's five modules |\n|---|---|---|")
        for name, row in whole.items():
            least, most = row["range"]
            print(
                f"| {name} | {row['ms']:.1f} | {row['ratio']:.1f} ({least:.1f} to {most:.1f}) |",
                flush=True,
            )
        parts = {
            "fast, gray": medians(operations(source, size, options.images, 1), options.rounds),
            "fast, colour": medians(operations(source, size, options.images, 3), options.rounds),
            "kornia, RGB": medians(modules(source, size, options.images), options.rounds),
        }
        for name, values in parts.items():
            print(f"{name}: " + ", ".join(f"{part} {ms:.1f}" for part, ms in values.items()))
        results[pair] = {"pipelines": whole, "operations": parts}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
