from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import api
from ssl_registry.errors import RunError
from ssl_registry.training.run_folder import RunFolder, check_possible

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
