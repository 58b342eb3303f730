"""Dice of test images with and without a near-duplicate among the training images.

    ssl-registry data duplicates busi --out pairs
    python docs/results/study/leaks.py pairs/duplicates.csv docs/results/study/b_plain

Of each cell of a study's finished fine-tunings: lesion Dice at training size, the mean over its
runs, on the test images whose cluster of near-duplicates has a training image, and on the others.
Labels do not matter: with 10 % of them most of those training images are not trained on.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

AXES = ("method", "pretraining_data", "fraction", "split")


def table(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def clusters(duplicates: Path) -> dict[str, str]:
    """The cluster of each image that has a near-duplicate."""
    pairs = table(duplicates)
    return {pair[f"id_{side}"]: pair["cluster"] for pair in pairs for side in "ab"}


def leaked(split: Path, cluster_of: dict[str, str]) -> set[str]:
    """Test images of whose cluster a training image is."""
    parts = {line["id"]: line["split"] for line in table(split)}
    trained = {
        cluster_of[name] for name, part in parts.items() if part == "train" and name in cluster_of
    }
    return {
        name for name, part in parts.items() if part == "test" and cluster_of.get(name) in trained
    }


def lesion_dice(run: Path) -> dict[str, float]:
    """Dice of the test images with a lesion, at training size."""
    return {
        line["id"]: float(line["dice"])
        for line in table(run / "metrics.csv")
        if line["size"] == "training" and line["empty_truth"] == "False"
    }


def main() -> None:
    """Print a Markdown table with a line for each cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("duplicates", type=Path)
    parser.add_argument("study", type=Path, help="folder with rows.csv and runs/")
    options = parser.parse_args()
    cluster_of = clusters(options.duplicates)
    cells: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for line in table(options.study / "rows.csv"):
        if line["status"] == "done":
            run = options.study / "runs" / line["run"]
            cells[tuple(line[axis] for axis in AXES)].append(run)
    say = sys.stdout.write
    say(f"| {' | '.join(AXES)} | runs | with near-duplicate | without | difference |\n")
    say("|---" * (len(AXES) + 4) + "|\n")
    for cell, runs in cells.items():
        within: list[float] = []
        without: list[float] = []
        for run in runs:
            names, dice = leaked(run / "split.csv", cluster_of), lesion_dice(run)
            within += [value for name, value in dice.items() if name in names]
            without += [value for name, value in dice.items() if name not in names]
        means = [
            f"{statistics.mean(values):.3f} ({len(values) // len(runs)})" if values else "-"
            for values in (within, without)
        ]
        more = statistics.mean(within) - statistics.mean(without) if within and without else 0.0
        say(f"| {' | '.join(cell)} | {len(runs)} | {' | '.join(means)} | {more:+.3f} |\n")


if __name__ == "__main__":
    main()
