"""A picture of what an image costs against the number of images, their size, and the batch.

python benchmarks/scale.py --data CIFAR --json scale.json
python benchmarks/pretrain.py --data DATA --sizes 32 64 96 128 --steps 2 --pairs 3 --json sizes.json
python benchmarks/pretrain.py --data DATA --batch-sizes 32 64 128 256 --pairs 3 --json b.json
python benchmarks/plot_cost.py scale.json sizes.json b.json docs/images/cost.png
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

BOUND, EPOCH, MEMORY = "#888888", "#0072b2", "#d55e00"


def against(axes: Axes, results: list[dict[str, Any]], key: str, label: str) -> None:
    """Milliseconds an image takes in an epoch, and in the bound, against a setting."""
    values = [result[key] for result in results]
    for name, title, color in (
        ("bound_seconds", "network alone (bound)", BOUND),
        ("epoch_seconds", "epoch", EPOCH),
    ):
        costs = [1000 * statistics.median(r[name]) / r["images"] for r in results]
        axes.plot(values, costs, "o-", color=color, label=title)
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("ms an image")
    axes.legend(frameon=False)


def against_images(axes: Axes, rows: list[dict[str, float]]) -> None:
    """Seconds of the cache's build, and memory beyond the array, against the number of images."""
    images = [row["images"] for row in rows]
    axes.loglog(images, [row["build_seconds"] for row in rows], "o-", color=EPOCH)
    axes.set_xlabel("images in the set")
    axes.set_ylabel("building the cache once, s", color=EPOCH)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    beside = axes.twinx()
    memory = [row["beyond_array_mib"] for row in rows]
    beside.plot(images, memory, "s--", color=MEMORY)
    beside.set_ylim(0, 1.2 * max(memory))
    beside.set_ylabel("peak memory beyond the array, MiB", color=MEMORY)


def main() -> None:
    """Draw the three panels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale", type=Path)
    parser.add_argument("sizes", type=Path)
    parser.add_argument("batches", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    figure, (first, second, third) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    against_images(first, json.loads(options.scale.read_text())["rows"])
    against(second, json.loads(options.sizes.read_text()), "size", "side of the views, px")
    against(third, json.loads(options.batches.read_text()), "batch_size", "images in a batch")
    figure.savefig(options.out, dpi=120)


if __name__ == "__main__":
    main()
