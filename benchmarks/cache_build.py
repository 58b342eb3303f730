"""Build the BUSI cache and, in turn, do the same work in a plain single-thread Pillow loop.

    python benchmarks/cache_build.py --data ../shared/data --repeats 5

Both decode every image and mask, shrink the images antialiased to 64 px, and unite and shrink the
masks. Wall time depends on what else the machine does; CPU time says how much work was done.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from ssl_registry import Dataset, Sample
from ssl_registry.build import build_dataset
from ssl_registry.config.load import validate
from ssl_registry.data.cache import CACHE_VARIABLE, CacheSettings, open_cache
from ssl_registry.registry import config_model

SIZE = 64


class Times(NamedTuple):
    """Seconds that one build took."""

    wall: float
    cpu: float


def plain_loop(samples: Sequence[Sample]) -> None:
    """What one would write without a library, into arrays in memory."""
    images = np.empty((len(samples), 1, SIZE, SIZE), np.uint8)
    masks = np.zeros((len(samples), SIZE, SIZE), np.uint8)
    for place, sample in enumerate(samples):
        image, *parts = sample.files
        luma = Image.open(image).convert("L")
        images[place, 0] = np.asarray(luma.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        union = Image.open(parts[0]).convert("L")
        for part in parts[1:]:
            union = ImageChops.lighter(union, Image.open(part).convert("L"))
        masks[place] = np.asarray(union.resize((SIZE, SIZE), Image.Resampling.BOX)) >= 128


def cache_build(dataset: Dataset, samples: Sequence[Sample]) -> None:
    """The library's own way, into a cache folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        open_cache(dataset, samples, CacheSettings(SIZE, 1, masks=True))


def measure(work: Callable[[], None]) -> Times:
    """Run `work` once."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def row(name: str, times: Sequence[Times], images: int) -> str:
    """A line of the table: medians."""
    wall = statistics.median(run.wall for run in times)
    cpu = statistics.median(run.cpu for run in times)
    return f"{name:12} {wall:7.2f} {cpu:7.2f} {images / wall:9.0f} {cpu / wall:11.2f}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the building of the BUSI cache.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--repeats", type=int, default=3, help="Builds of each kind.")
    arguments = parser.parse_args()
    table = {"name": "busi", "root": arguments.data / "busi"}
    dataset = build_dataset(validate(config_model("dataset", "busi"), table, "--data"))
    samples = dataset.samples()
    plain_loop(samples)  # so that the files are in the system's cache for both
    plain, cache = [], []
    for _ in range(arguments.repeats):
        plain.append(measure(lambda: plain_loop(samples)))
        cache.append(measure(lambda: cache_build(dataset, samples)))
    ratio = statistics.median(a.wall / b.wall for a, b in zip(plain, cache, strict=True))
    work = statistics.median(b.cpu / a.cpu for a, b in zip(plain, cache, strict=True))
    sys.stdout.write(
        f"{len(samples)} images, {os.cpu_count()} cores\n"
        f"{'':12} {'wall s':>7} {'CPU s':>7} {'images/s':>9} {'cores busy':>11}\n"
        + row("plain loop", plain, len(samples))
        + row("cache build", cache, len(samples))
        + f"speed: {ratio:.2f} times the plain loop's, with {work:.2f} times its CPU time\n"
    )


if __name__ == "__main__":
    main()
