"""Steps per second and peak memory of each method on each architecture of the study.

    python benchmarks/methods.py --data DATA

Each is a pre-training of its own in a process of its own: 32 px, 3 channels, 32 images a step,
four epochs of two steps on the validation images of BUSI, with nothing watched but the loss. The
first epoch warms up; the rate is that of the fastest later one, for on a busy machine the others
measure something else too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

METHODS = ("simclr", "moco", "simsiam")
ARCHITECTURES = {
    "ResNet-18": {"backbone": "resnet18"},
    "ResNet-50": {"backbone": "resnet50"},
    "U-Net, whole": {"backbone": "unet_encoder", "decoder": "unet"},
    "ResNet-50 and U-Net decoder": {"backbone": "resnet50", "decoder": "unet"},
}


def measure(table: dict[str, object], folder: Path) -> tuple[float, float]:
    """Steps per second and peak memory in GiB of one run."""
    config = folder / "config.json"
    config.write_text(json.dumps(table))
    code = (
        "import json, sys, ssl_registry\n"
        "table = json.load(open(sys.argv[1]))\n"
        "ssl_registry.pretrain(table, sys.argv[2])\n"
    )
    run = folder / "run"
    subprocess.run(
        [sys.executable, "-c", code, str(config), str(run)], check=True, capture_output=True
    )
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    summary = json.loads((run / "summary.json").read_text())
    batch = table["training"]["batch_size"]  # type: ignore[index]
    rates = [row["images_per_second"] / batch for row in rows[1:]]
    return max(rates), summary["peak_memory_bytes"] / 2**30


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    options = parser.parse_args()
    os.environ.setdefault("SSL_REGISTRY_CACHE", tempfile.mkdtemp())
    print("| architecture | " + " | ".join(METHODS) + " |")
    print("|---|" + "---|" * len(METHODS))
    for name, parts in ARCHITECTURES.items():
        cells = []
        for method in METHODS:
            table = {
                "image_size": 32,
                "method": method,
                "data": [{"name": "busi", "root": str(options.data / "busi")}],
                "parts": ["val"],
                "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
                "training": {
                    "epochs": options.epochs,
                    "batch_size": options.batch_size,
                    "precision": options.precision,
                    "checkpoint_seconds": 1e9,
                },
                **parts,
            }
            with tempfile.TemporaryDirectory() as folder:
                rate, memory = measure(table, Path(folder))
            cells.append(f"{rate:.2f} steps/s, {memory:.2f} GiB")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
