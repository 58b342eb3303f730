"""A process killed while it saves leaves the old folder or the new one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_a_kill_leaves_the_old_folder_or_the_new_one(tmp_path: Path, kills: int) -> None:
    script = Path(__file__).with_name("save_and_kill.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "weights"), str(kills)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    olds, news = map(int, done.stdout.split())
    assert kills <= olds + news <= 10 * kills
    assert olds and news
