"""The local executor: workers that stay, that die, and that end with their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import Executor, Outcome, RunError, Work, create
from ssl_registry_local.process import WorkerProcess

pytestmark = pytest.mark.usefixtures("calls")


def work(name: str, call: str, **payload: Any) -> Work:
    return Work(name, f"study_calls:{call}", payload)


def wait_for(executor: Executor, count: int) -> dict[str, Outcome]:
    outcomes: list[Outcome] = []
    until = time.monotonic() + 60
    while len(outcomes) < count and time.monotonic() < until:
        outcomes += executor.wait(1.0)
    return {outcome.id: outcome for outcome in outcomes}


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[Executor]:
    made = create("executor", "local", logs=tmp_path, workers=2, threads=3)
    yield made
    made.close()


def test_a_worker_takes_many_pieces(executor: Executor) -> None:
    assert executor.capacity == 2
    pids = set()
    for _ in range(3):
        executor.submit(work("a", "environment"))
        executor.submit(work("b", "environment"))
        found = wait_for(executor, 2)
        assert found.keys() == {"a", "b"}
        pids |= {outcome.result["pid"] for outcome in found.values()}
        assert {outcome.result["OMP_NUM_THREADS"] for outcome in found.values()} == {"3"}
    assert len(pids) == 2 and os.getpid() not in pids


def test_a_dead_worker_loses_its_piece_alone_and_is_replaced(
    executor: Executor, tmp_path: Path
) -> None:
    executor.submit(work("dead", "dies_once", folder=str(tmp_path / "run"), id="1"))
    executor.submit(work("other", "environment"))
    found = wait_for(executor, 2)
    assert "SIGKILL" in found["dead"].lost and found["dead"].result is None
    assert not found["other"].lost
    executor.submit(work("dead", "dies_once", folder=str(tmp_path / "run"), id="1"))
    assert wait_for(executor, 1)["dead"].result["status"] == "done"


def test_what_work_prints_is_no_answer(executor: Executor, tmp_path: Path) -> None:
    executor.submit(work("a", "prints"))
    assert wait_for(executor, 1)["a"].result == "right"
    assert "wrong" in (tmp_path / "worker-0.log").read_text()


def test_a_call_that_raises_is_told_and_its_worker_is_replaced(executor: Executor) -> None:
    # What it left behind, such as a fault on a GPU, must not befall the next piece.
    executor.submit(work("a", "environment"))
    before = wait_for(executor, 1)["a"].result["pid"]
    executor.submit(work("b", "raises"))
    found = wait_for(executor, 1)["b"]
    assert found.lost == "RuntimeError: not as agreed"
    assert "in raises" in found.trace
    assert not _alive(before)
    executor.submit(work("c", "environment"))
    assert wait_for(executor, 1)["c"].result["pid"] != before


def test_a_dead_worker_is_noticed_while_its_children_live(
    executor: Executor, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    executor.submit(work("a", "dies_before_its_child", file=str(note)))
    try:
        assert "SIGKILL" in wait_for(executor, 1)["a"].lost
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_workers_that_cannot_start_end_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    executor: Executor = create("executor", "local", logs=tmp_path, workers=1)
    executor.submit(work("a", "environment"))
    with pytest.raises(RunError, match=r"no worker can be started: .*status 1; .*worker-0\.log"):
        wait_for(executor, 1)
    executor.close()


def test_a_worker_that_died_before_its_work_came_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    worker = WorkerProcess(tmp_path / "worker.log", {})
    while worker.alive:
        time.sleep(0.01)
    worker.send(work("a", "environment"))
    with pytest.raises(RunError, match="no worker can be started"):
        worker.receive()
    assert worker.join(1.0)


@pytest.mark.parametrize("visible", ["", "-1", "-1,0"])
def test_hidden_gpus_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    executor: Executor = create("executor", "local", logs=tmp_path, workers_per_gpu=64)
    assert executor.capacity < 64


def test_gpus_are_dealt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    executor: Executor = create("executor", "local", logs=tmp_path, workers_per_gpu=2)
    try:
        assert executor.capacity == 4
        for name in "abcd":
            executor.submit(work(name, "environment"))
        seen = [o.result["CUDA_VISIBLE_DEVICES"] for o in wait_for(executor, 4).values()]
        assert sorted(seen) == ["3", "3", "5", "5"]
    finally:
        executor.close()


def test_workers_end_with_a_killed_owner(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom ssl_registry import Work, create\n"
        "executor = create('executor', 'local', logs=Path(sys.argv[1]), workers=1)\n"
        "executor.submit(Work('a', 'study_calls:waits', {'file': sys.argv[2]}))\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(note)])
    pid = int(wait_until(lambda: note.read_text() if note.exists() else ""))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not _alive(pid))


def wait_until(condition: Any) -> Any:
    until = time.monotonic() + 60
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return value


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that has ended but that nobody has asked for stays as a zombie.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
