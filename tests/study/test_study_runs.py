"""Carrying out a study: only what is missing, failures as rows, and nothing lost by a kill."""

from __future__ import annotations

import csv
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ssl_registry.errors import DatasetNotFoundError, RunError
from ssl_registry.files import read_json
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.rows import TIMES
from ssl_registry.study.run import run_study

pytestmark = pytest.mark.usefixtures("calls")

CALL = "study_calls:"


def table_of(folder: StudyFolder) -> list[dict[str, str]]:
    """The study's table without what differs from one execution to the next."""
    with folder.rows.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: text for name, text in row.items() if name not in TIMES} for row in rows]


def stamps(folder: StudyFolder) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in folder.runs.rglob("summary.json")}


def test_only_what_is_missing_is_done(
    small: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = StudyFolder(tmp_path / "study")
    rows = run_study(small("executor.workers=2"), folder, call=f"{CALL}nothing")
    assert [row["status"] for row in rows] == ["done"] * 18
    for row in table_of(folder):
        share = int(row["run"], 16) / 16**12
        assert float(row["dice/lesion"]) == share
        assert float(row["dice/all_empty1"]) == share / 2
        assert bool(row["pretraining"]) == (row["method"] != "supervised")
    assert "[20/20]" in capfd.readouterr().err
    before, table = stamps(folder), table_of(folder)
    assert len(before) == 20
    run_study(small(), folder, call=f"{CALL}nothing")
    assert stamps(folder) == before and table_of(folder) == table
    # Another seed is added: its three methods with two shares, and no pre-training.
    grown = run_study(small("axes.seed=[0, 1, 2, 3]"), folder, call=f"{CALL}nothing")
    assert len(grown) == 24
    after = stamps(folder)
    assert len(after) == 26 and before.items() <= after.items()


def test_a_study_is_done_in_parts_on_two_machines(small: Any, tmp_path: Path) -> None:
    here, there = StudyFolder(tmp_path / "here"), StudyFolder(tmp_path / "there")
    run_study(small('without.method=["moco", "simclr"]'), there, call=f"{CALL}nothing")
    for path in there.runs.iterdir():
        (here.runs / path.name).mkdir(parents=True)
        shutil.copy(path / "summary.json", here.runs / path.name)
    rows = run_study(small(), here, call=f"{CALL}nothing")
    assert {row["status"] for row in rows} == {"done"}
    assert not list(here.runs.glob("*/doubled"))
    assert {path.name for path in there.runs.iterdir()} == {
        row["run"] for row in rows if row["method"] == "supervised"
    }


def test_failed_runs_are_rows_with_their_errors(small: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    rows = run_study(small("executor.workers=2", "attempts=2"), folder, call=f"{CALL}fails")
    for row in rows:
        if row["method"] == "moco":
            assert row["status"] == "failed" and row["error"] == "its pre-training failed: no queue"
        elif row["seed"] == 0:
            assert row["status"] == "done" and row["error"] == ""
        else:
            error, tried = {1: ("ValueError: attempt 2", 2), 2: ("a mistake", 1)}[row["seed"]]
            assert (row["status"], row["error"], row["attempts"]) == ("failed", error, tried)
    attempts = {file: file.read_text() for file in folder.runs.glob("*/attempts")}
    run_study(small("attempts=2"), folder, call=f"{CALL}fails")
    assert {file: file.read_text() for file in attempts} == attempts
    rows = run_study(small("attempts=2"), folder, call=f"{CALL}nothing", retry_failed=True)
    assert {(row["status"], row["error"], row["attempts"]) for row in rows} == {("done", "", 0)}


def test_a_run_whose_worker_dies_is_tried_again(small: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    rows = run_study(small("axes.seed=[0]"), folder, call=f"{CALL}dies_once")
    assert {row["status"] for row in rows} == {"done"}
    assert {file.read_text() for file in folder.runs.glob("*/attempts")} == {"xx"}
    assert folder.failures() == {}


def test_a_run_that_another_process_has_is_waited_for(small: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    overrides = ("axes.seed=[0]", "axes.fraction=[1.0]", 'without.method=["simclr"]')
    rows = run_study(small(*overrides), folder, call=f"{CALL}busy_first")
    assert {row["status"] for row in rows} == {"done"}
    assert folder.failures() == {}


def test_a_full_disk_stops_the_study_and_breaks_nothing(small: Any, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    with pytest.raises(RunError, match=r"stopped at .*: no space left.* run the same command"):
        run_study(small("executor.workers=1"), folder, call=f"{CALL}disk_is_full")
    assert len(stamps(folder)) == 2 and folder.failures() == {}
    rows = run_study(small(), folder, call=f"{CALL}nothing")
    assert {row["status"] for row in rows} == {"done"}
    assert not list(folder.runs.glob("*/doubled"))


def test_data_that_are_not_there_stop_it_before_anything_is_made(
    small: Any, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    data = f'finetune.data={{name="busi", root="{tmp_path / "nowhere"}"}}'
    with pytest.raises(DatasetNotFoundError, match="nowhere"):
        run_study(small(data), folder, call=f"{CALL}nothing")
    assert not folder.path.exists()


def test_a_folder_of_something_else_is_left_alone(small: Any, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="holds no study"):
        run_study(small(), StudyFolder(tmp_path / "study"), call=f"{CALL}nothing")
    with pytest.raises(RunError, match="begin it with"):
        StudyFolder(tmp_path / "other").plan()


SCRIPT = """
import sys
from pathlib import Path
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import run_study
from ssl_registry.study.source import read_study
source = read_study(sys.argv[1], ["axes.seed=[0,1,2,3,4]", "executor.workers=2"])
run_study(source, StudyFolder(Path(sys.argv[2])), call="study_calls:slowly")
"""


def begin(study_file: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SCRIPT, str(study_file), str(out)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def check_kills(study_file: Path, tmp_path: Path, kills: int) -> None:
    """A study that is killed at random moments ends with the table of one that is not."""
    whole, killed = StudyFolder(tmp_path / "whole"), StudyFolder(tmp_path / "killed")
    assert begin(study_file, whole.path).wait() == 0
    moments, counts = random.Random(kills), []
    while len(counts) < kills:
        process = begin(study_file, killed.path)
        count = len(stamps(killed))
        until = time.monotonic() + 60
        # At least one run more, so that the study moves on; then at any moment.
        while len(stamps(killed)) == count and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(len(stamps(killed)))
    # The workers of the last one may be about to end.
    assert begin(study_file, killed.path).wait() == 0
    assert counts[0] < 32, "nothing was cut off"
    assert table_of(killed) == table_of(whole)
    assert len(stamps(killed)) == len(stamps(whole)) == 32
    assert not list(killed.runs.glob("*/doubled"))
    assert killed.failures() == {}
    assert read_json(killed.path / "study.json") == read_json(whole.path / "study.json")


def test_a_study_survives_kills(study_file: Path, tmp_path: Path) -> None:
    check_kills(study_file, tmp_path, 2)


@pytest.mark.slow
def test_a_study_survives_ten_kills(study_file: Path, tmp_path: Path) -> None:
    check_kills(study_file, tmp_path, 10)


def test_two_at_once_do_each_run_once(study_file: Path, tmp_path: Path) -> None:
    processes = [begin(study_file, tmp_path / "study") for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    folder = StudyFolder(tmp_path / "study")
    assert {row["status"] for row in table_of(folder)} == {"done"}
    assert not list(folder.runs.glob("*/doubled"))


@pytest.mark.slow
def test_two_thousand_runs_are_kept_account_of_in_a_minute(small: Any, tmp_path: Path) -> None:
    folder, started = StudyFolder(tmp_path / "study"), time.monotonic()
    source = small(f"axes.seed={list(range(332))}", "executor.workers=2")
    rows = run_study(source, folder, call=f"{CALL}nothing")
    assert len(rows) == 1992 and len(stamps(folder)) == 1994
    assert time.monotonic() - started < 60
