"""Copies what is kept here of a study: its tables, and the records of its finished runs.

    python docs/results/study/keep.py studies/b docs/results/study/b_plain

Of a run those are its config, split, summary and Dice per image: no weights, pictures or paths. To
go on with the study elsewhere, copy `runs/` into its folder, and run it there. A pre-training that
fine-tunings still wait for must be done again: leave its folder out.

    mkdir -p studies/b && cp -r docs/results/study/b_plain/runs studies/b/
    ssl-registry study run docs/results/study/b.toml --out studies/b --workers 2
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

TABLES = ("cells.csv", "comparisons.csv", "means.csv")
RECORDS = ("metrics.csv", "split.csv", "summary.json")


def without_paths(value: Any) -> Any:
    """The same without keys that name places of the machine it ran on."""
    if isinstance(value, dict):
        return {k: without_paths(v) for k, v in value.items() if k not in ("root", "weights")}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def keep(run: Path, target: Path) -> None:
    """Copy the records of a run."""
    target.mkdir(parents=True, exist_ok=True)
    for name in RECORDS:
        if (run / name).is_file():  # a pre-training has no Dice
            shutil.copy(run / name, target / name)
    record = without_paths(json.loads((run / "config.json").read_text(encoding="utf-8")))
    text = json.dumps(record, indent=2) + "\n"
    (target / "config.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Copy a study's tables and the records of its finished runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    shutil.copy(options.study / "rows.csv", options.target / "rows.csv")
    for name in TABLES:
        shutil.copy(options.study / "report" / name, options.target / name)
    with (options.study / "rows.csv").open(newline="", encoding="utf-8") as stream:
        done = [line for line in csv.DictReader(stream) if line["status"] == "done"]
    for identity in {line[kind] for line in done for kind in ("run", "pretraining")} - {""}:
        keep(options.study / "runs" / identity, options.target / "runs" / identity)


if __name__ == "__main__":
    main()
