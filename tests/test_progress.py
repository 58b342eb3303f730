from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ssl_registry import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test sets by hand."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_plain_lines(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.track("caching busi", 4000, unit="image") as bar:
        bar.advance(3)
        clock.seconds += 9.9
        bar.advance(6)
        assert capsys.readouterr().err == ""
        clock.seconds += 0.1
        bar.advance(note="loss [1.5]")
        # 10 of 4000 in 10 s: 3990 s are left, which is 1 h 6 min 30 s.
        assert capsys.readouterr().err == (
            "caching busi: image 10/4000, loss [1.5], 1:06:30 left\n"
        )
        clock.seconds += 55
        bar.advance(3990)
    captured = capsys.readouterr()
    assert captured.err == "caching busi: image 4000/4000, loss [1.5], took 1:05\n"
    assert captured.out == ""


def test_time_left_counts_only_what_was_done_now(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.track("pre-training", 200, done=100) as bar:
        clock.seconds += 20
        bar.advance(10)
        # 10 steps took 20 s, so 90 take 180 s.
        assert capsys.readouterr().err == "pre-training: step 110/200, 3:00 left\n"
        clock.seconds += 5
        bar.advance(10)
        assert capsys.readouterr().err == ""


def test_failed_work_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), progress.track("caching", 3):
        raise KeyError
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_clock(seconds: float, text: str) -> None:
    assert progress._clock(seconds) == text


def test_bar_on_a_terminal() -> None:
    code = (
        "from ssl_registry.progress import track\n"
        "with track('caching [busi]', 12, done=2) as bar:\n"
        "    bar.advance(4, note='loss [/0.25]')\n"
        "    bar.advance(6)\n"
    )
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=follower, stdout=subprocess.PIPE, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # Linux says so when the other end is closed
            pass
        assert process.wait() == 0
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(leader)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "caching [busi]" in text
    assert "12/12" in text
    assert "loss [/0.25]" in text
    assert "0:00:00" in text


def test_say_writes_a_line_at_once() -> None:
    stream = io.StringIO()
    progress.say("done", stream)
    assert stream.getvalue() == "done\n"
