"""CIFAR-10 by each method with its preset, and what its features are worth to nearest neighbours.

    python benchmarks/cifar.py --data CIFAR --epochs 200 --json cifar.json

`CIFAR` holds train/CLASS/ and test/CLASS/ with pictures of 32 px. ResNet-18 with the stem for small
images, 512 images a step; kNN with k = 200 and T = 0.1 on the 10,000 test images, as in lightly's
published table (200 epochs on one RTX A6000).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import ssl_registry

PUBLISHED = {"simclr": "0.848 in 87", "moco": "0.847 in 112", "simsiam": "0.764 in 88"}
"""lightly's kNN accuracy after 200 epochs of 512 images a step, and its minutes."""


def table(method: str, options: argparse.Namespace) -> dict[str, Any]:
    """The config of one run."""
    data = {
        "name": "image_folder",
        "root": str(options.data),
        "masks": "none",
        "split": {"kind": "official"},
    }
    probe = {"kind": "knn", "name": "cifar", "k": options.k, "temperature": 0.1, "part": "test"}
    return {
        "preset": f"{method}-cifar",
        "data": [data],
        "parts": ["train"],
        "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
        "probes": [{**probe, "data": data, "every_epochs": options.probe_epochs}],
        "training": {
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "device": options.device,
            "precision": options.precision,
        },
    }


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--methods", nargs="+", default=["simclr", "moco", "simsiam"])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--k", type=int, default=200, help="neighbours that vote")
    parser.add_argument("--probe-epochs", type=int, default=0, help="probe on the way, too")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    print("| method | epochs | training, min | kNN accuracy | lightly's, published | memory, GiB |")
    print("|---|---|---|---|---|---|")
    found = {}
    for method in options.methods:
        with tempfile.TemporaryDirectory() as folder:
            run = ssl_registry.pretrain(table(method, options), Path(folder) / "run")
            summary = json.loads((run / "summary.json").read_text())
        accuracy = summary["probes"]["cifar"]["scores"]["accuracy"]
        found[method] = summary
        print(
            f"| {method} | {options.epochs} | {summary['training_seconds'] / 60:.1f} "
            f"| {accuracy:.3f} | {PUBLISHED.get(method, '')} "
            f"| {summary['peak_memory_bytes'] / 2**30:.1f} |",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
