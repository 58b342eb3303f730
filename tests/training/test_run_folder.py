from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import api
from ssl_registry.errors import ConfigError, RunError
from ssl_registry.training.run import Run, holding
from ssl_registry.training.run_folder import RunFolder, check_possible, write_new_json

RECORD = {"id": "0123456789ab", "kind": "pretrain"}


def test_claim_and_claim_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "run")
    folder.check_usable()
    assert not (tmp_path / "a").exists()
    folder.claim(RECORD, resume=False)
    folder.check_usable()
    with pytest.raises(RunError, match=r"this very run.*--resume"):
        folder.claim(RECORD, resume=False)
    folder.claim(RECORD, resume=True)
    other = {"id": "ba9876543210", "kind": "finetune"}
    for resume in (True, False):
        with pytest.raises(RunError, match=r"another run .pretrain 0123456789ab"):
            folder.claim(other, resume=resume)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    for claim in (RunFolder(tmp_path).check_usable, lambda: claim_of(tmp_path)):
        with pytest.raises(RunError, match="not empty"):
            claim()
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(RunError, match="not of a run"):
        claim_of(tmp_path)


def claim_of(path: Path) -> None:
    RunFolder(path).claim(RECORD, resume=True)


def test_a_kill_while_claiming_does_not_spoil_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".config.json.0123abcd.tmp").write_text("{")
    claim_of(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == RECORD


def test_the_log_is_cut_at_a_step_and_drops_half_a_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in (2, 4, 6):
        folder.log({"step": step, "loss": math.nan if step == 4 else 0.5})
    with (tmp_path / "log.jsonl").open("a") as stream:
        stream.write('{"step": 8, "deep": {}')
    assert [row["step"] for row in folder.read_log()] == [2, 4, 6]
    folder.cut_log(4)
    assert folder.read_log() == [{"step": 2, "loss": 0.5}, {"step": 4, "loss": None}]


@pytest.fixture(params=["below a file", "proc"])
def impossible(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that even root cannot make."""
    if request.param == "proc":
        return Path("/proc/nobody/run")
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "run"


def test_an_impossible_place_is_refused(impossible: Path) -> None:
    with pytest.raises(RunError, match="cannot be made"):
        check_possible(impossible)
    with pytest.raises(RunError, match="cannot be made"):
        RunFolder(impossible).claim(RECORD, resume=False)


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
def test_an_impossible_place_is_refused_before_anything_is_cached(
    kind: str,
    impossible: Path,
    private_cache: Path,
    request: pytest.FixtureRequest,
) -> None:
    table: dict[str, Any] = request.getfixturevalue(f"{kind}_table")
    start: Callable[..., Path] = getattr(api, kind)
    with pytest.raises(RunError, match="cannot be made"):
        start(table, impossible)
    assert not private_cache.exists()


CLAIM = """
import sys
from pathlib import Path
from ssl_registry.training.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.claim({"id": "0123456789ab", "kind": "pretrain"}, resume=True)
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs the run in `tmp_path / "run"`."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_is_run_by_one_process_until_it_is_killed(
    other: subprocess.Popen[str], tmp_path: Path, resume: bool
) -> None:
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match=r"being run by another process|this very run"):
        folder.claim(RECORD, resume=resume)
    if resume:
        with pytest.raises(RunError, match="being run by another process"):
            folder.claim(RECORD, resume=True)
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    folder.claim(RECORD, resume=True)
    folder.release()


def test_a_finished_run_needs_no_lock(other: subprocess.Popen[str], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.finish({"steps": 1})
    folder.claim(RECORD, resume=True)


def test_the_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    for resume in (False, True):
        run = Run("pretrain", RunFolder(tmp_path / "run"), dict(RECORD))
        run.folder.claim(RECORD, resume=resume)
        with pytest.raises(RunError, match="another process"):
            RunFolder(tmp_path / "run").claim(RECORD, resume=True)
        with pytest.raises(ZeroDivisionError), holding(run):
            _ = 1 / 0
    claim_of(tmp_path / "run")


def test_a_config_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert write_new_json(path, {"id": 1})
    assert not write_new_json(path, {"id": 2})
    assert json.loads(path.read_text()) == {"id": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_config_is_written_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", link)
    assert write_new_json(tmp_path / "config.json", {"id": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def mistake(run: Run) -> None:
    with pytest.raises(ConfigError), holding(run):
        raise ConfigError("one view is too few")


def test_a_mistake_gives_a_new_folder_back(tmp_path: Path) -> None:
    run = Run("pretrain", RunFolder(tmp_path / "run"), dict(RECORD))
    run.folder.claim(RECORD, resume=False)
    (run.folder.path / "split.csv").write_text("")
    mistake(run)
    assert not (tmp_path / "run").exists()
    run.folder.claim({**RECORD, "id": "mended"}, resume=False)


@pytest.mark.parametrize("kept", ["log", "checkpoint", "resumed", "foreign"])
def test_a_mistake_takes_nothing_that_was_there(tmp_path: Path, kept: str) -> None:
    run = Run("pretrain", RunFolder(tmp_path / "run"), dict(RECORD))
    run.folder.claim(RECORD, resume=False)
    if kept == "log":
        run.folder.log({"step": 1})
    elif kept == "checkpoint":
        (run.folder.checkpoints / "step-000000001").mkdir(parents=True)
    elif kept == "resumed":
        run.folder.release()
        run = Run("pretrain", RunFolder(tmp_path / "run"), dict(RECORD))
        run.folder.claim(RECORD, resume=True)
    else:
        (run.folder.path / "notes.txt").write_text("")
    mistake(run)
    assert (run.folder.path / "config.json").exists() == (kept != "foreign")
    assert (run.folder.path / "notes.txt").exists() == (kept == "foreign")
