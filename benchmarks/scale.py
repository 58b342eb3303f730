r"""Time and memory of the data's part of a run against the number of images.

    python benchmarks/scale.py --data CIFAR --images 1000 10000 60000

Each number runs in a process of its own: the cache is built, opened as a second start does, and
an epoch of batches is gathered in random order from the memory map. Memory is the process's peak,
and without the array, of which the pages that were read are mapped and count.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("images", "build s", "us/image", "start s", "epoch s", "us/image", "peak MiB", "beyond")


def measure(data: Path, images: int, size: int, batch: int) -> dict[str, float]:
    """Build, open and gather `images` of the pictures in a folder."""
    from ssl_registry.build import build_dataset
    from ssl_registry.config.load import validate
    from ssl_registry.data.cache import CACHE_VARIABLE, CacheSettings, open_cache
    from ssl_registry.data.load import LoadedData
    from ssl_registry.data.pool import ImagePool
    from ssl_registry.registry import config_model

    table = {"name": "image_folder", "root": data}
    dataset = build_dataset(validate(config_model("dataset", "image_folder"), table, "--data"))
    every = dataset.samples()
    samples = tuple(every[at] for at in np.linspace(0, len(every) - 1, images).astype(int))
    settings = CacheSettings(size, 3, masks=False)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        times = [time.perf_counter()]
        open_cache(dataset, samples, settings)
        times.append(time.perf_counter())
        cache = open_cache(dataset, samples, settings)
        parts = dict.fromkeys((sample.id for sample in samples), "train")
        pool = ImagePool([LoadedData(dataset, samples, parts, cache)], ["train"])  # type: ignore[arg-type]
        times.append(time.perf_counter())
        order = np.random.default_rng(0).permutation(len(pool))
        for start in range(0, len(order), batch):
            pool.images(order[start : start + batch])
        times.append(time.perf_counter())
    build, start_seconds, epoch = np.diff(times).tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "images": images,
        "build_seconds": build,
        "start_seconds": start_seconds,
        "epoch_seconds": epoch,
        "peak_mib": peak,
        "beyond_array_mib": peak - pool.bytes / 2**20,
    }


def in_a_process(arguments: argparse.Namespace, images: int) -> dict[str, Any]:
    """Measure in a new process, whose peak of memory is its own."""
    command = [sys.executable, __file__, "--data", str(arguments.data), "--one", str(images)]
    command += ["--size", str(arguments.size), "--batch", str(arguments.batch)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def line(row: dict[str, float]) -> str:
    """A line of the table."""
    images, build, epoch = row["images"], row["build_seconds"], row["epoch_seconds"]
    cells = (
        f"{images:.0f}",
        f"{build:.2f}",
        f"{build / images * 1e6:.0f}",
        f"{row['start_seconds']:.2f}",
        f"{epoch:.3f}",
        f"{epoch / images * 1e6:.1f}",
        f"{row['peak_mib']:.0f}",
        f"{row['beyond_array_mib']:.0f}",
    )
    return " ".join(f"{cell:>9}" for cell in cells) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory against the number of images.")
    parser.add_argument("--data", type=Path, required=True, help="A folder of pictures.")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10000, 60000])
    parser.add_argument("--size", type=int, default=40, help="Side of the cached images, px.")
    parser.add_argument("--batch", type=int, default=256, help="Images that are gathered at once.")
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(arguments.data, arguments.one, arguments.size, arguments.batch)
        sys.stdout.write(json.dumps(found))
        return
    sys.stdout.write(" ".join(f"{name:>9}" for name in COLUMNS) + "\n")
    rows = []
    for images in arguments.images:
        rows.append(in_a_process(arguments, images))
        sys.stdout.write(line(rows[-1]))
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
