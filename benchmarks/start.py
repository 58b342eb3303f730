"""The start of a pre-training whose images are cached: from the end of all imports on.

    python benchmarks/start.py --data CIFAR --rounds 5

A fresh process imports torch, kornia, timm, pandas and the plugins, and then begins a pre-training
of ResNet-18 at 32 px. Told is when its first step of 8 images is over; the first process fills the
cache and is not counted. `--data` names a folder of images, of any number.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

START = """
import sys, tempfile, time
from pathlib import Path
import kornia, pandas, timm, torch
import ssl_registry
import ssl_registry.augment, ssl_registry.training.pretrain
import ssl_registry_image_folder.dataset, ssl_registry_simclr.method, ssl_registry_timm.resnet

class First:
    def epoch_ended(self, run, epoch, row):
        print(time.perf_counter() - began, flush=True)

table = {
    "image_size": 32,
    "method": "simclr",
    "backbone": "resnet18",
    "data": [{"name": "image_folder", "root": sys.argv[1], "masks": "none"}],
    "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
    "training": {"steps": 1, "batch_size": 8},
}
with tempfile.TemporaryDirectory() as folder:
    began = time.perf_counter()
    ssl_registry.pretrain(table, Path(folder) / "run", observers=[First()])
"""


def first_step(data: Path) -> float:
    """Seconds to the end of the first step, in a fresh process."""
    command = [sys.executable, "-c", START, str(data)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[0])


def main() -> None:
    """Measure and print the median and range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder of images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["SSL_REGISTRY_CACHE"] = cache
        seconds = [first_step(options.data) for _ in range(options.rounds + 1)][1:]
    sys.stdout.write(
        f"first step over {statistics.median(seconds):.2f} s after the imports "
        f"({min(seconds):.2f} to {max(seconds):.2f})\n"
    )
    if options.json:
        options.json.write_text(json.dumps({"data": str(options.data), "seconds": seconds}))


if __name__ == "__main__":
    main()
