"""Whether fast arithmetic pays with accuracy: short trainings with and without, and their kNN.

    python benchmarks/features.py --data DATA

SimCLR with a ResNet-18 on BUSI for some epochs, from the same seeds, in several ways of doing the
same: precision, small maps as matrix products or by torch's convolutions, and kornia's
augmentation. Printed is the balanced accuracy of a kNN on the validation images (78, so that its
95 % interval is 0.2 wide) for each seed, and the last loss.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from bound import torch_convolutions

import ssl_registry

WAYS = {
    "default": {"precision": "auto"},
    "fp32": {"precision": "fp32"},
    "torch's convolutions": {"precision": "auto"},
    "fp32, torch's convolutions": {"precision": "fp32"},
    "fp32, kornia": {"precision": "fp32"},
}


def train(way: str, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """Balanced accuracy of the kNN, and the last epoch's loss."""
    busi = {"name": "busi", "root": str(options.data / "busi")}
    table = {
        "image_size": options.image_size,
        "seed": seed,
        "method": "simclr",
        "backbone": "resnet18",
        "augmentation": {"name": "simclr", "backend": "kornia" if "kornia" in way else "fast"},
        "data": [busi],
        "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
        "probes": [{"kind": "knn", "data": busi, "name": "busi"}],
        "training": {"epochs": options.epochs, "batch_size": 128, **WAYS[way]},
    }
    with tempfile.TemporaryDirectory() as folder, torch_convolutions("torch's" in way):
        run = ssl_registry.pretrain(table, Path(folder) / "run")
        summary = json.loads((run / "summary.json").read_text())
        lines = (run / "log.jsonl").read_text().splitlines()
    return summary["probes"]["busi"]["scores"]["balanced_accuracy"], json.loads(lines[-1])["loss"]


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--image-size", type=int, default=32)
    options = parser.parse_args()
    print("| way | seed | kNN, balanced accuracy | last loss |")
    print("|---|---|---|---|")
    for seed in options.seeds:
        for way in options.ways:
            accuracy, loss = train(way, seed, options)
            print(f"| {way} | {seed} | {accuracy:.3f} | {loss:.3f} |", flush=True)


if __name__ == "__main__":
    main()
