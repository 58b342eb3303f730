r"""Time what a study adds to its runs: real ones against a loop by hand, and many that do nothing.

    python benchmarks/studies.py --rounds 5 --runs 2000
    python benchmarks/studies.py --rounds 2 --runs 2000 --longer 10

By hand is once a process for each run, as a command is, and once a single process that calls
`pretrain` and `finetune` for all of them, one thread each; the study has one worker with one
thread. It also writes its report, which is timed by itself.
The study is of the phantom, nine runs of 40 and 80 steps, or of so many times as many: what a study
adds is the same for short runs and long ones.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_registry.study.expand import plan_study
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import run_study
from ssl_registry.study.source import Source, read_study

STUDY = """
title = "Overhead"

[pretrain]
channels = 1
backbone = { name = "unet_encoder", widths = [16, 32, 64] }
data = [{ name = "phantom", images_per_organ = 60, seed = 1 }]
training = { steps = 40, batch_size = 32, device = "cpu" }

[finetune]
channels = 1
backbone = { name = "unet_encoder", widths = [16, 32, 64] }
decoder = { name = "unet", widths = [32, 16] }
data = { name = "phantom", organs = ["breast"], images_per_organ = 120 }
training = { steps = 80, batch_size = 16, device = "cpu" }
validation_epochs = 4

[axes]
fraction = [1.0, 0.5]
seed = [0, 1]
image_size = [32]
method.supervised.pretraining = false
method.moco.pretrain.method = "moco"
"""
HAND = """
import json, sys
from pathlib import Path
import ssl_registry
for run in json.loads(Path(sys.argv[1]).read_text()):
    getattr(ssl_registry, run["kind"])(run["config"], run["folder"])
"""
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def nothing(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What workers call in place of a run: it writes a summary and ends."""
    folder = Path(payload["folder"])
    folder.mkdir(parents=True)
    summary = {"test": {"dice/lesion": 0.5}, "steps": 1, "wall_seconds": 0.0}
    (folder / "summary.json").write_text(json.dumps(summary))
    return {"status": "done", "seconds": 0.0}


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env={**os.environ, **ONE_THREAD}, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _by_hand(source: Source, place: Path, *, apart: bool) -> float:
    """Seconds of all runs, in a process of their own each or in one."""
    runs: list[dict[str, Any]] = []
    for run in plan_study(source).runs.values():
        config = _without_none(dict(run.config))
        if run.needs:
            config["weights"] = str(place / run.needs / "weights")
        runs.append({"kind": run.kind, "config": config, "folder": str(place / run.id)})
    seconds = 0.0
    for number, together in enumerate([[run] for run in runs] if apart else [runs]):
        listed = place / f"runs-{number}.json"
        listed.write_text(json.dumps(together))
        seconds += _timed([sys.executable, "-c", HAND, str(listed)])
    return seconds


def _lengthened(longer: int) -> list[str]:
    """Overrides that give each run so many times its steps."""
    return [f"pretrain.training.steps={40 * longer}", f"finetune.training.steps={80 * longer}"]


def _as_study(file: Path, place: Path, longer: int) -> tuple[float, float]:
    """Seconds of the study, and of its report once more."""
    tool = [str(Path(sys.executable).with_name("ssl-registry")), "study"]
    given = [str(file), "--out", str(place / "study"), "--set", "executor.threads=1"]
    given += [word for text in _lengthened(longer) for word in ("--set", text)]
    seconds = _timed([*tool, "run", *given, "--workers", "1"])
    return seconds, _timed([*tool, "report", str(file), "--out", str(place / "study")])


def overhead(rounds: int, longer: int) -> dict[str, Any]:
    """Runs apart, runs in a loop, and the study, in turn."""
    apart, hand, study, report = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "overhead.toml"
        file.write_text(STUDY)
        with tempfile.TemporaryDirectory() as place:  # it fills the cache of decoded images
            _by_hand(read_study(str(file)), Path(place), apart=False)
        source = read_study(str(file), _lengthened(longer))
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as place:
                apart.append(_by_hand(source, Path(place), apart=True))
            with tempfile.TemporaryDirectory() as place:
                hand.append(_by_hand(source, Path(place), apart=False))
                seconds, again = _as_study(file, Path(place), longer)
                study.append(seconds)
                report.append(again)
    without = sorted((b - c) / a for a, b, c in zip(hand, study, report, strict=True))
    return {
        "apart": statistics.median(apart),
        "hand": statistics.median(hand),
        "study": statistics.median(study),
        "report": statistics.median(report),
        "ratio_apart": statistics.median(b / a for a, b in zip(apart, study, strict=True)),
        "ratio": statistics.median(b / a for a, b in zip(hand, study, strict=True)),
        "ratio_without_report": statistics.median(without),
        "range_without_report": [without[0], without[-1]],
    }


def bookkeeping(runs: int) -> dict[str, Any]:
    """Seconds of a study of many runs that do nothing, and of finding all of them done."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "many.toml"
        file.write_text(STUDY)
        seeds = json.dumps(list(range(runs // 4)))
        start = time.perf_counter()
        source = read_study(str(file), [f"axes.seed={seeds}", "executor.workers=2"])
        plan = plan_study(source)
        planned = time.perf_counter()
        folder = StudyFolder(Path(place) / "study")
        run_study(source, folder, call="studies:nothing")
        done = time.perf_counter()
        run_study(source, folder, call="studies:nothing")
        return {
            "runs": len(plan.runs),
            "planned": planned - start,
            "done": done - planned,
            "again": time.perf_counter() - done,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time what a study adds to its runs.")
    parser.add_argument("--rounds", type=int, default=5, help="Turns of the study and the loop.")
    parser.add_argument("--runs", type=int, default=2000, help="Runs that do nothing.")
    parser.add_argument("--longer", type=int, default=1, help="Times the steps of each run.")
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    arguments = parser.parse_args()
    many = bookkeeping(arguments.runs)
    sys.stdout.write(
        f"{many['runs']} runs that do nothing: planned in {many['planned']:.1f} s, done in "
        f"{many['done']:.1f} s, found done in {many['again']:.1f} s\n"
    )
    found: dict[str, Any] = {"many": many}
    if arguments.rounds:
        found["overhead"] = row = overhead(arguments.rounds, arguments.longer)
        lowest, highest = row["range_without_report"]
        sys.stdout.write(
            f"nine runs one by one {row['apart']:.1f} s, in one process {row['hand']:.1f} s, as a "
            f"study {row['study']:.1f} s with its report of {row['report']:.1f} s: "
            f"{row['ratio_apart']:.3f} and {row['ratio']:.3f} times, of the latter without the "
            f"report {row['ratio_without_report']:.3f} ({lowest:.3f} to {highest:.3f})\n"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
