"""Whole runs in two processes: one writer, one voice, one end, and resumption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ssl_registry import load_backbone
from ssl_registry.files import read_json
from ssl_registry.training.run_folder import RunFolder

# pytest's importlib mode does not find it.
sys.path.insert(0, str(Path(__file__).parent))

from process_pair import PATIENCE_SECONDS, reserved_port

if TYPE_CHECKING:
    from conftest import Runner

STEPS = 12
TABLE = """
image_size = 32
channels = 1
backbone = {name = "unet_encoder", widths = [4, 8]}
data = [{name = "phantom", images_per_organ = 10, size = 48}]
monitoring = {validation_epochs = 1}
[method]
name = "moco"
projection_dim = 8
bn_splits = 2
[training]
steps = 12
batch_size = 8
accumulation = 2
checkpoint_seconds = 0
device = "cpu"
threads = 1
optimizer = {name = "sgd", learning_rate = 0.05}
"""


class Pair:
    """Two processes of one `ssl-registry pretrain`, as a launcher starts them."""

    def __init__(self, runner: Runner, folder: Path, port: int) -> None:
        self._runner, self._file, self._count = runner, folder / "run.toml", 0
        self._port = str(port)
        self._file.write_text(TABLE)
        self._outputs: list[Path] = []

    def start(self, out: Path, *more: str) -> list[int]:
        self._count += 1
        self._outputs = [out.with_name(f"said-{self._count}-{rank}.txt") for rank in (0, 1)]
        words = ("pretrain", str(self._file), "--out", str(out), *more)
        return [
            self._runner.start(
                *words,
                output=output,
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE="2",
                MASTER_ADDR="127.0.0.1",
                MASTER_PORT=self._port,
            )
            for rank, output in enumerate(self._outputs)
        ]

    def wait(self, pids: list[int]) -> list[int]:
        statuses = self._runner.wait_all(pids)
        return [statuses[pid] for pid in pids]

    def run(self, out: Path, *more: str) -> list[int]:
        return self.wait(self.start(out, *more))

    def run_alone(self, out: Path, *more: str) -> int:
        self._count += 1
        self._outputs = [out.with_name(f"said-{self._count}.txt")]
        words = ("pretrain", str(self._file), "--out", str(out), *more)
        status: int = self._runner.run(*words, output=self._outputs[0])
        return status

    @property
    def said(self) -> list[str]:
        """What each process printed."""
        return [output.read_text() for output in self._outputs]


@pytest.fixture
def pair(runner: Runner, tmp_path: Path) -> Iterator[Pair]:
    with reserved_port() as port:
        yield Pair(runner, tmp_path, port)


def weights(run: Path) -> bytes:
    return (run / "weights" / "model.safetensors").read_bytes()


def newest_step(run: Path) -> int:
    names = [path.name for path in (run / "checkpoint").glob("step-*")]
    return max((int(name.partition("-")[2]) for name in names), default=0)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the run made no progress"
        time.sleep(0.001)


def rows(run: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "images_per_second"}
        for row in RunFolder(run).read_log()
    ]


def test_a_killed_process_ends_the_other_and_the_run_goes_on_with_the_same_bits(
    pair: Pair, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert pair.run(whole) == [0, 0], pair.said
    assert "report.html" in pair.said[0] and pair.said[1] == ""
    assert read_json(whole / "summary.json")["processes"] == 2
    assert rows(whole)[-1]["step"] == STEPS and "validation/loss" in rows(whole)[-1]
    assert load_backbone(whole / "weights")[0].channels == (4, 8)

    pids = pair.start(broken)
    wait_until(lambda: newest_step(broken) >= 5)
    killed = time.monotonic()
    os.kill(pids[1], signal.SIGKILL)
    assert pair.wait(pids) == [2, -signal.SIGKILL]
    assert time.monotonic() - killed < PATIENCE_SECONDS
    assert pair.said[0].count("error:") == 1 and "Traceback" not in pair.said[0]
    assert "process 0 of 2 stopped, because another one has ended" in pair.said[0]
    assert not (broken / "weights").exists()
    assert pair.run(broken, "--resume") == [0, 0], pair.said
    assert weights(broken) == weights(whole)
    assert rows(broken) == rows(whole)


def test_one_message_and_one_checkpoint_at_the_end_of_several(pair: Pair, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert pair.run(run, "--set", "training.batch_size=10") == [2, 0]
    assert "divided evenly over 2 processes and training.accumulation = 2" in pair.said[0]
    assert pair.said[1] == "" and not run.exists()

    pids = pair.start(run)
    wait_until(lambda: newest_step(run) >= 3)
    os.kill(pids[1], signal.SIGTERM)
    assert pair.wait(pids) == [130, 0], pair.said
    stopped = newest_step(run)
    assert 3 <= stopped < STEPS and len(list((run / "checkpoint").iterdir())) == 1
    assert pair.said[0].count("--resume") == 1 and pair.said[1] == ""

    assert pair.run_alone(run, "--resume") == 0, pair.said
    assert "warning: resumed with processes 2 -> 1" in pair.said[0]
    assert rows(run)[-1]["step"] == STEPS


@pytest.mark.slow
def test_torchrun_runs_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TABLE)
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ssl_registry.cli"]
    for out in ("one", "two"):
        ended = subprocess.run(
            [sys.executable, *words, "pretrain", "run.toml", "--out", out],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("report:") == 1 and "rror" not in ended.stderr, ended.stderr
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
