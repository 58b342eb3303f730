"""Prints the table of docs/results.md from the run folders: `python table.py RUNS`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

ROWS = {
    "32 px, 100 %, from scratch": "scratch-100-s*",
    "32 px, 100 %, pre-trained": "pretrained-100-s*",
    "32 px, 10 %, from scratch": "scratch-10-s*",
    "32 px, 10 %, pre-trained": "pretrained-10-s*",
    "64 px (bf16), 100 %, from scratch": "scratch64-100-s*",
    "64 px (bf16), 100 %, batch Dice, light augmentation": "mended64-100-s*",
}
NAMES = ("dice/lesion", "dice/all_empty1", "normal_false_positive_rate", "native/dice/lesion")


def spread(values: list[float]) -> str:
    """Mean ± SD (divisor n - 1), or the value alone."""
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def row(title: str, runs: list[dict[str, Any]]) -> str:
    """A line of the table."""
    cells = [spread([run["test"][name] for run in runs]) for name in NAMES]
    steps = sorted({run["steps"] for run in runs})
    minutes = statistics.mean(run["wall_seconds"] for run in runs) / 60
    memory = max(run["peak_memory_bytes"] for run in runs) / 2**30
    facts = [", ".join(map(str, steps)), f"{minutes:.1f}", f"{memory:.2f}"]
    return " | ".join(["", title, str(len(runs)), *cells, *facts, ""]).strip()


def main(folder: Path) -> None:
    """Print the table of the runs in `folder`."""
    head = ["arm", "seeds", *(f"`{name}`" for name in NAMES), "steps", "minutes", "GiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for title, pattern in ROWS.items():
        files = sorted(folder.glob(f"{pattern}/summary.json"))
        if files:
            lines.append(row(title, [json.loads(file.read_text()) for file in files]))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
