"""The Ray executor on a real cluster of this machine, with a worker killed in the middle."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import ConfigError, Executor, Outcome, Work, create
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import run_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("calls"),
    pytest.mark.filterwarnings("ignore"),  # those of Ray, and of what it imports
]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", here)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def outcomes_of(executor: Executor, count: int) -> dict[str, Outcome]:
    outcomes: list[Outcome] = []
    until = time.monotonic() + 240
    while len(outcomes) < count and time.monotonic() < until:
        outcomes += executor.wait(1.0)
    return {outcome.id: outcome for outcome in outcomes}


def test_a_killed_worker_loses_its_piece_alone(tmp_path: Path) -> None:
    executor: Executor = create("executor", "ray", logs=tmp_path)
    try:
        assert executor.capacity == 2
        note = tmp_path / "pid"
        executor.submit(Work("waits", "study_calls:waits", {"file": str(note)}))
        executor.submit(Work("other", "study_calls:environment", {}))
        assert outcomes_of(executor, 1)["other"].result["OMP_NUM_THREADS"] == "1"
        until = time.monotonic() + 120
        while not (note.exists() and note.read_text()):
            assert time.monotonic() < until
            time.sleep(0.1)
        os.kill(int(note.read_text()), signal.SIGKILL)
        assert outcomes_of(executor, 1)["waits"].lost.startswith("the worker died")
        executor.submit(Work("raises", "study_calls:raises", {}))
        assert outcomes_of(executor, 1)["raises"].lost == "RuntimeError: not as agreed"
    finally:
        executor.close()


def test_the_same_study_on_ray(small: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    overrides = ("executor.name=ray", "executor.workers=2", "axes.seed=[0]")
    rows = run_study(small(*overrides), folder, call="study_calls:dies_once")
    assert {row["status"] for row in rows} == {"done"}
    assert {file.read_text() for file in folder.runs.glob("*/attempts")} == {"xx"}


def test_a_worker_without_room_waits_only_for_those_that_work(tmp_path: Path) -> None:
    # Two workers of two cores each; the machine has two.
    executor: Executor = create("executor", "ray", logs=tmp_path, workers=2, cpus=2)
    try:
        for name in ("first", "second"):
            executor.submit(Work(name, "study_calls:environment", {}))
        assert set(outcomes_of(executor, 2)) == {"first", "second"}
    finally:
        executor.close()


@pytest.mark.parametrize("settings", [{"cpus": 3}, {"gpus": 1}])
def test_a_worker_that_fits_nowhere_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no machine of the cluster has room"):
        create("executor", "ray", logs=tmp_path, **settings)
