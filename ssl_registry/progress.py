"""Live progress: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PLAIN_SECONDS = 10.0
"""Plain lines come at most this often."""


class Track(ABC):
    """One piece of work whose progress is shown."""

    @abstractmethod
    def advance(self, amount: int = 1, note: str = "") -> None:
        """Say that `amount` more units are done; `note` tells more, such as the loss."""


@contextmanager
def track(title: str, total: int, *, done: int = 0, unit: str = "step") -> Iterator[Track]:
    """Show the progress of `total` units of work on standard error, `done` of them already."""
    if sys.stderr.isatty():
        with _rich_track(title, total, done) as bar:
            yield bar
    else:
        lines = _PlainTrack(title, total, done, unit, sys.stderr)
        yield lines
        lines.finish()


class _PlainTrack(Track):
    def __init__(self, title: str, total: int, done: int, unit: str, stream: TextIO) -> None:
        self._title, self._total, self._unit, self._stream = title, total, unit, stream
        self._done = self._first = done
        self._note = ""
        self._start = self._last = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS and self._done < self._total:
            self._last = now
            rate = (self._done - self._first) / (now - self._start)
            left = (self._total - self._done) / max(rate, 1e-9)
            self._write(f"{_clock(left)} left")

    def finish(self) -> None:
        self._write(f"took {_clock(time.monotonic() - self._start)}")

    def _write(self, tail: str) -> None:
        parts = [f"{self._title}: {self._unit} {self._done}/{self._total}", self._note, tail]
        self._stream.write(", ".join(part for part in parts if part) + "\n")
        self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def _rich_track(title: str, total: int, done: int) -> Iterator[Track]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        Remaining(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, completed=done, note="")

        class RichTrack(Track):
            def advance(self, amount: int = 1, note: str = "") -> None:
                if note:
                    progress.update(task, advance=amount, note=note)
                else:
                    progress.update(task, advance=amount)

        yield RichTrack()


def say(text: str, stream: TextIO) -> None:
    """Write one line to a stream at once."""
    stream.write(text + "\n")
    stream.flush()
