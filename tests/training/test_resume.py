"""Runs that are killed at random moments end with the bits of runs that are not."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Runner

STEPS = 18
# Only a run that hangs waits so long; a machine with much else to do is slow.
PATIENCE_SECONDS = 300
CLOCKS = ("images_per_second",)


def rows(run: Path) -> list[dict[str, Any]]:
    """The log without what a clock decides."""
    lines = (run / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCKS} for line in lines]


def weights(run: Path) -> bytes:
    return (run / "weights" / "model.safetensors").read_bytes()


def newest_step(run: Path) -> int:
    names = [path.name for path in (run / "checkpoint").glob("step-*")]
    return max((int(name.partition("-")[2]) for name in names), default=0)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the run made no progress"
        time.sleep(0.0005)


def command(kind: str, configs: dict[str, Path], out: Path, *more: str) -> tuple[str, ...]:
    return (
        kind,
        str(configs[kind]),
        "--out",
        str(out),
        "--set",
        "training.checkpoint_seconds=0",
        *more,
    )


def kill_and_resume(
    runner: Runner, words: tuple[str, ...], run: Path, chance: random.Random, kills: int
) -> None:
    """Kill the run `kills` times, each time some steps further, and then let it end."""
    output = run.with_suffix(".txt")
    for number in range(kills):
        words_now = (*words, "--resume") if number else words
        pid = runner.start(*words_now, output=output)
        goal = newest_step(run) + chance.randint(1, (STEPS - 2) // kills)
        wait_until(lambda goal=goal: newest_step(run) >= goal)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert runner.wait(pid) == -signal.SIGKILL, output.read_text()
        assert not (run / "summary.json").exists()
    assert runner.run(*words, "--resume", output=output) == 0, output.read_text()


def check_kills(
    runner: Runner, configs: dict[str, Path], kind: str, precision: str, seed: int, kills: int
) -> None:
    folder = configs[kind].parent
    more = ("--set", f"training.precision={precision}")
    whole, broken = folder / "whole", folder / f"broken-{seed}"
    if not whole.exists():
        words = command(kind, configs, whole, *more)
        assert runner.run(*words, output=folder / "whole.txt") == 0
    chance = random.Random(seed)
    kill_and_resume(runner, command(kind, configs, broken, *more), broken, chance, kills)
    assert rows(broken) == rows(whole)
    assert len(rows(whole)) == 6
    assert weights(broken) == weights(whole)
    for name in ("metrics.csv",) if kind == "finetune" else ():
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_killed_runs_end_with_the_same_bits(
    runner: Runner, configs: dict[str, Path], kind: str, precision: str
) -> None:
    check_kills(runner, configs, kind, precision, seed=1, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_many_killed_runs_end_with_the_same_bits(
    runner: Runner, configs: dict[str, Path], kind: str, precision: str
) -> None:
    for seed, kills in itertools.product(range(2, 6), (2, 5)):
        check_kills(runner, configs, kind, precision, seed=10 * seed + kills, kills=kills)


@pytest.mark.slow
def test_a_killed_resnet_run_ends_with_the_same_bits(
    runner: Runner, configs: dict[str, Path]
) -> None:
    resnet = configs["pretrain"].read_text().replace("unet_encoder", "resnet18")
    configs["pretrain"].write_text(resnet.replace("widths = [4, 8, 16]\n", ""))
    check_kills(runner, configs, "pretrain", "bf16", seed=1, kills=2)


def test_a_killed_run_that_watches_everything_ends_with_the_same_bits(
    runner: Runner, configs: dict[str, Path], tiny_busi: Path
) -> None:
    data = f'{{name = "busi", root = "{tiny_busi}"}}'
    monitoring = "[monitoring]\nvalidation_epochs = 1\nrank_epochs = 2\n"
    kinds = ('"knn"\nk = 5', '"linear"\nfolds = 2', '"segmentation"\nsteps = 2')
    probes = [f"[[probes]]\nevery_epochs = 3\ndata = {data}\nkind = {kind}\n" for kind in kinds]
    with configs["pretrain"].open("a") as stream:
        stream.write("\n".join([monitoring, *probes]))
    check_kills(runner, configs, "pretrain", "fp32", seed=3, kills=1)
    last = rows(configs["pretrain"].parent / "whole")[-1]
    watched = ("validation/loss", "effective_rank", "probe/busi-segmentation/dice/lesion")
    assert all(name in last for name in watched)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_ends_with_the_same_bits(
    runner: Runner, configs: dict[str, Path], tmp_path: Path, number: signal.Signals
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    slow_saving = ("--set", "training.checkpoint_seconds=1000")
    words = command("pretrain", configs, whole, *slow_saving)
    assert runner.run(*words, output=tmp_path / "whole.txt") == 0

    words = command("pretrain", configs, stopped, *slow_saving)
    output = tmp_path / "stopped.txt"
    pid = runner.start(*words, output=output)
    wait_until(lambda: (stopped / "log.jsonl").exists() and len(rows(stopped)) >= 2)
    time.sleep(0.01)
    os.kill(pid, number)
    assert runner.wait(pid) == 130
    said = [line for line in output.read_text().splitlines() if "--resume" in line]
    assert len(said) == 1
    assert "Traceback" not in output.read_text()
    assert 0 < newest_step(stopped) < STEPS
    assert not (stopped / "weights").exists()

    assert runner.run(*words, "--resume", output=output) == 0
    assert weights(stopped) == weights(whole)
    assert rows(stopped) == rows(whole)
