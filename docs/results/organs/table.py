"""Prints the tables of docs/results.md from runs and probes: `python table.py RUNS PROBES`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {"simclr": "SimCLR", "moco": "MoCo", "simsiam": "SimSiam"}
NETWORKS = {"resnet18": "ResNet-18", "unet": "U-Net, whole"}


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The log of a run."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def estimate(value: dict[str, float], sign: str = "") -> str:
    """A value with its interval."""
    return f"{value['value']:{sign}.3f} [{value['low']:{sign}.3f}, {value['high']:{sign}.3f}]"


def main(runs: Path, probes: Path) -> None:
    """Print both tables."""
    lines = [
        "| network | method | steps | loss, first and last epoch | spread, first and last |",
        "|---|---|---|---|---|",
    ]
    scores = [
        "| network | method | part | probe | pre-trained | random weights | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for network, network_name in NETWORKS.items():
        for method, method_name in NAMES.items():
            run = runs / f"{method}-{network}"
            if not (run / "summary.json").is_file():
                continue
            log = rows_of(run)
            first, last = log[0], log[-1]
            lines.append(
                f"| {network_name} | {method_name} | {last['step']} | "
                f"{first['loss']:.3f}, {last['loss']:.3f} | "
                f"{first['embedding_spread']:.2f}, {last['embedding_spread']:.2f} |"
            )
            for part in ("val", "test"):
                file = probes / f"{run.name}-{part}.json"
                if not file.is_file() or not file.stat().st_size:
                    continue
                for result in json.loads(file.read_text()):
                    score = result["scores"]["balanced_accuracy"]
                    cells = [estimate(score[key]) for key in ("weights", "random")]
                    cells.append(estimate(score["difference"], "+"))
                    head = f"{network_name} | {method_name} | {part} | {result['kind']}"
                    scores.append(f"| {head} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join([*lines, "", *scores]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
