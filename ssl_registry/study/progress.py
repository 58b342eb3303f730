"""What a person sees of a running study: a line for what has ended, with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping

from ssl_registry.progress import say
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.plan import Plan, PlannedRun
from ssl_registry.study.timing import Clock
from ssl_registry.training.run_folder import RunFolder

LINE_SECONDS = 1.0
"""Lines on runs that went well come at most this often."""
BEAT_SECONDS = 60.0
"""A line on what is running comes this often."""


def clock_text(seconds: float | None) -> str:
    """Seconds as `1:05:00` or `3:20`; a question mark for None."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class StudyProgress:
    """Counts what has ended and says so on standard error."""

    def __init__(self, plan: Plan, folder: StudyFolder, clock: Clock, workers: int) -> None:
        self._plan, self._folder, self._clock, self._workers = plan, folder, clock, workers
        self._open = dict(plan.runs)
        self._started: dict[str, float] = {}
        self._line = self._beat = time.monotonic()

    def settle(self, identities: Collection[str]) -> None:
        """Take runs off the list that need not be done any more."""
        for identity in identities:
            self._open.pop(identity, None)

    def started(self, run: PlannedRun) -> None:
        """A run was given to a worker."""
        self._started[run.id] = time.monotonic()

    def ended(self, run: PlannedRun, text: str, *, seconds: float = 0.0) -> None:
        """A run is done, or will not be; what is said of one that is done may be left out."""
        self.settle([run.id])
        self._started.pop(run.id, None)
        now = time.monotonic()
        if text or now - self._line >= LINE_SECONDS or not self._open:
            self._line = self._beat = now
            took = f" in {clock_text(seconds)}" if seconds else ""
            self._say(f"{run.title}{took}{text}")

    def warn(self, run: PlannedRun, text: str) -> None:
        """Something happened to a run that goes on."""
        self._started.pop(run.id, None)
        self._say(f"{run.title}: {text}")

    def beat(self, running: Mapping[str, PlannedRun]) -> None:
        """Say now and then what is running."""
        now = time.monotonic()
        if running and now - self._beat >= BEAT_SECONDS:
            self._beat = now
            runs = "; ".join(self._step(run) for run in running.values())
            self._say(f"running: {runs}")

    def _step(self, run: PlannedRun) -> str:
        rows = RunFolder(self._folder.run(run.id)).read_log()
        step = f" step {rows[-1]['step']}" if rows else ""
        took = time.monotonic() - self._started.get(run.id, time.monotonic())
        return f"{run.title}{step} ({clock_text(took)})"

    def _say(self, text: str) -> None:
        total = len(self._plan.runs)
        done = total - len(self._open)
        left = ""
        if self._open:
            left = f" ({clock_text(self._left())} left)"
        say(f"[{done}/{total}] {text}{left}", sys.stderr)

    def _left(self) -> float | None:
        seconds = self._clock.left(self._open.values(), self._workers)
        if seconds is None:
            return None
        spent = sum(time.monotonic() - since for since in self._started.values())
        return max(0.0, seconds - spent / max(1, self._workers))
