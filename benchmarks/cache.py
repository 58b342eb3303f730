r"""Build an image cache and, in turn, do the same work in a plain single-thread Pillow loop.

    python benchmarks/cache.py --data DATA/busi --repeats 5
    python benchmarks/cache.py --dataset image_folder --data CIFAR --size 40 \
        --images 1000 10000 60000

Any dataset in a folder can be named: in the plain loop camus is read by nibabel, videos of
covid_lus by PyAV. Both decode every image, and every mask of BUSI, shrink the images antialiased,
and unite and shrink the masks. Wall time depends on what else the machine does; CPU time says how
much work was done. The second start is what a pre-training does from the end of its imports to
its first batch when the cache of all images is there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import nibabel
import numpy as np
from PIL import Image, ImageChops

from ssl_registry import Dataset, Sample
from ssl_registry.build import build_dataset
from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.cache import CACHE_VARIABLE, CacheSettings, open_cache
from ssl_registry.data.pool import load_pool
from ssl_registry.registry import config_model
from ssl_registry.training.device import choose_execution
from ssl_registry.training.loop import total_steps
from ssl_registry.training.pretrain import build_job, build_trunk

VIDEOS = {".mp4", ".avi", ".mpeg", ".mov"}


class Times(NamedTuple):
    """Seconds that one build took."""

    wall: float
    cpu: float


def plain_loop(samples: Sequence[Sample], settings: CacheSettings) -> None:
    """What one would write without a library, into arrays in memory."""
    size, mode = settings.size, "L" if settings.channels == 1 else "RGB"
    images = np.empty((len(samples), size, size, settings.channels), np.uint8)
    masks = np.zeros((len(samples), size, size), np.uint8) if settings.masks else None
    for place, sample in enumerate(samples):
        image, *parts = sample.files
        picture = plain_picture(image).convert(mode)
        small = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        images[place] = small.reshape(size, size, -1)
        if masks is not None:
            union = Image.open(parts[0]).convert("L")
            for part in parts[1:]:
                union = ImageChops.lighter(union, Image.open(part).convert("L"))
            masks[place] = np.asarray(union.resize((size, size), Image.Resampling.BOX)) >= 128


def plain_picture(file: Path) -> Image.Image:
    """One image as whoever reads a few of them would read it; of a video the middle frame."""
    if file.name.endswith(".nii.gz"):
        values = np.asarray(nibabel.load(file).dataobj)
        return Image.fromarray(values.T.astype(np.uint8))
    if file.suffix.lower() in VIDEOS:
        with av.open(file) as container:
            frames = list(container.decode(video=0))
        return frames[len(frames) // 2].to_image()
    return Image.open(file)


def cache_build(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> None:
    """The library's own way, into a cache folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        open_cache(dataset, samples, settings)


def second_start(config: ComponentConfig, size: int) -> list[str]:
    """Time each part of a pre-training's start from a cache, after a first start has made it."""
    table = {
        "method": "simclr",
        "backbone": "resnet18",
        "data": [config],
        "cache_size": size,
        "monitoring": {"validation_epochs": 0},
        "training": {"batch_size": 64},
    }
    run = validate(PretrainConfig, table, "the benchmark")
    execution = choose_execution(run.training)
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_VARIABLE] = folder
        for start in ("first", "second"):
            times = [time.perf_counter()]
            trunk = build_trunk(run)
            times.append(time.perf_counter())
            pool = load_pool(run.data, run.parts, size=run.stored_size, channels=run.channels)
            times.append(time.perf_counter())
            job = build_job(run, trunk, pool, total_steps(len(pool), run.training), execution)
            pool.images(job.order(run.seed, 0)[: run.training.batch_size])
            times.append(time.perf_counter())
            spent = dict(zip(("network", "images", "first batch"), np.diff(times), strict=True))
            parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in spent.items())
            lines.append(f"{start} start: {times[-1] - times[0]:.2f} s ({parts})\n")
    return lines


def measure(work: Callable[[], None]) -> Times:
    """Run `work` once."""
    wall, cpu = time.perf_counter(), all_cpu()
    work()
    return Times(time.perf_counter() - wall, all_cpu() - cpu)


def all_cpu() -> float:
    """CPU seconds of this process and of those it has started and seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def row(name: str, times: Sequence[Times], images: int) -> str:
    """A line of the table: medians."""
    wall = statistics.median(run.wall for run in times)
    cpu = statistics.median(run.cpu for run in times)
    return f"{name:12} {wall:7.2f} {cpu:7.2f} {images / wall:9.0f} {cpu / wall:11.2f}\n"


def compare(
    dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings, repeats: int
) -> tuple[str, dict[str, object]]:
    """Build the cache and run the plain loop in turn; gives a table, and its figures."""
    for sample in samples:
        for file in sample.files:
            file.read_bytes()  # so that the files are in the system's cache for both
    plain, cache = [], []
    peak = 0
    for _ in range(repeats):
        cache.append(measure(lambda: cache_build(dataset, samples, settings)))
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plain.append(measure(lambda: plain_loop(samples, settings)))
    ratios = sorted(b.wall / a.wall for a, b in zip(plain, cache, strict=True))
    ratio = statistics.median(ratios)
    work = statistics.median(b.cpu / a.cpu for a, b in zip(plain, cache, strict=True))
    text = (
        f"{len(samples)} images at {settings.size} px, {os.cpu_count()} cores\n"
        f"{'':12} {'wall s':>7} {'CPU s':>7} {'images/s':>9} {'cores busy':>11}\n"
        + row("plain loop", plain, len(samples))
        + row("cache build", cache, len(samples))
        + f"time: {ratio:.2f} of the plain loop's ({ratios[0]:.2f} to {ratios[-1]:.2f}), with "
        f"{work:.2f} times its CPU time; peak memory {peak / 1024:.0f} MiB\n"
    )
    figures: dict[str, object] = {
        "images": len(samples),
        "size": settings.size,
        "plain": plain,
        "cache": cache,
        "time_ratio": ratio,
        "cpu_ratio": work,
        "peak_mib": peak / 1024,
    }
    return text, figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the building of an image cache.")
    parser.add_argument("--dataset", default="busi", help="Name of the dataset.")
    parser.add_argument("--data", type=Path, required=True, help="Its folder.")
    parser.add_argument("--size", type=int, default=64, help="Side of the cached images, px.")
    parser.add_argument("--repeats", type=int, default=3, help="Builds of each kind.")
    parser.add_argument("--images", type=int, nargs="*", default=[], help="Default: all.")
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    arguments = parser.parse_args()
    table = {"name": arguments.dataset, "root": arguments.data}
    config = validate(config_model("dataset", arguments.dataset), table, "--data")
    dataset = build_dataset(config)
    samples, masks = dataset.samples(), arguments.dataset == "busi"
    settings = CacheSettings(arguments.size, dataset.info.channels, masks)
    figures = []
    for count in arguments.images or [len(samples)]:
        some = [samples[place] for place in np.linspace(0, len(samples) - 1, count).astype(int)]
        text, numbers = compare(dataset, some, settings, arguments.repeats)
        sys.stdout.write(text)
        figures.append(numbers)
    starts = second_start(config, arguments.size)
    sys.stdout.writelines(starts)
    if arguments.json:
        found = {"dataset": arguments.dataset, "builds": figures, "starts": starts}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
