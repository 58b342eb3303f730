"""Carrying out a plan: what is missing is given to workers, once what it needs is there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_registry.errors import RunError
from ssl_registry.interfaces.executor import Executor, Outcome, Work
from ssl_registry.study.folder import Failure, StudyFolder
from ssl_registry.study.perform import BUSY, DONE, STOP
from ssl_registry.study.plan import Plan, PlannedRun
from ssl_registry.study.progress import StudyProgress
from ssl_registry.study.timing import Clock

BUSY_SECONDS = 1.0
"""A run that another process works on is tried again after so long."""
_WAIT_SECONDS = 5.0


def payload_of(run: PlannedRun, folder: StudyFolder, keep_checkpoints: bool) -> dict[str, Any]:
    """What a worker is told of a run."""
    weights = run.config.get("weights") or ""
    if run.needs:
        weights = folder.run(run.needs) / "weights"
    return {
        "id": run.id,
        "kind": run.kind,
        "title": run.title,
        "config": dict(run.config),
        "presets": list(run.presets),
        "folder": str(folder.run(run.id).absolute()),
        "weights": str(Path(weights).absolute()) if weights else "",
        "keep_weights": run.keep_weights,
        "keep_checkpoints": keep_checkpoints,
    }


class Scheduler:
    """Gives runs to an executor until none is left that can be done.

    Pre-trainings go first, since others wait for them.
    """

    def __init__(
        self,
        plan: Plan,
        folder: StudyFolder,
        executor: Executor,
        progress: StudyProgress,
        clock: Clock,
        *,
        call: str,
        attempts: int,
        keep_checkpoints: bool,
    ) -> None:
        self._plan, self._folder, self._executor = plan, folder, executor
        self._progress, self._clock = progress, clock
        self._call, self._attempts, self._keep = call, attempts, keep_checkpoints
        self._failures = folder.failures()
        self._done = {identity for identity in plan.runs if folder.done(identity)}
        self._ready: deque[PlannedRun] = deque()
        self._waiting: dict[str, list[PlannedRun]] = {}
        self._later: deque[tuple[float, PlannedRun]] = deque()
        self._running: dict[str, PlannedRun] = {}

    def carry_out(self) -> None:
        """Do all that is missing.

        Raises:
            RunError: Something would befall every run, such as a full disk. What is done stays.
        """
        self._sort()
        while self._ready or self._later or self._running:
            self._take_up()
            while self._ready and len(self._running) < self._executor.capacity:
                self._submit(self._ready.popleft())
            for outcome in self._outcomes():
                self._ended(self._running.pop(outcome.id), outcome)
            self._progress.beat(self._running)

    def _outcomes(self) -> list[Outcome]:
        if self._running:
            return self._executor.wait(BUSY_SECONDS if self._later else _WAIT_SECONDS)
        time.sleep(0.1)  # only runs of other processes are left
        return []

    def _sort(self) -> None:
        """What is done or given up, what can begin, and what waits."""
        self._progress.settle(self._done)
        for run in self._plan.runs.values():
            failure = self._failures.get(run.id)
            if run.id in self._done:
                continue
            if failure is not None and failure.final:
                self._give_up(run)
            elif run.needs and run.needs not in self._done:
                self._waiting.setdefault(run.needs, []).append(run)
            else:
                self._ready.append(run)
        for identity, runs in list(self._waiting.items()):
            failure = self._failures.get(identity)
            if failure is not None and failure.final:
                self._progress.settle([run.id for run in runs])
                del self._waiting[identity]

    def _take_up(self) -> None:
        """Try again what another process was working on."""
        while self._later and self._later[0][0] <= time.monotonic():
            run = self._later.popleft()[1]
            if self._folder.done(run.id):
                self._is_done(run, {})
            else:
                self._ready.append(run)

    def _submit(self, run: PlannedRun) -> None:
        self._running[run.id] = run
        self._progress.started(run)
        self._executor.submit(Work(run.id, self._call, payload_of(run, self._folder, self._keep)))

    def _ended(self, run: PlannedRun, outcome: Outcome) -> None:
        if outcome.lost:
            self._failed(run, outcome.lost, outcome.trace)
            return
        result: Mapping[str, Any] = outcome.result
        if result["status"] == DONE:
            self._is_done(run, result)
        elif result["status"] == BUSY:
            self._later.append((time.monotonic() + BUSY_SECONDS, run))
        elif result["status"] == STOP:
            raise RunError(
                f"the study stopped at {run.title}: {result['error']}. What is done stays; once "
                "this is mended, run the same command again"
            )
        else:
            self._failed(run, str(result["error"]), mistake=True)

    def _is_done(self, run: PlannedRun, result: Mapping[str, Any]) -> None:
        self._done.add(run.id)
        if run.id in self._failures:
            self._folder.forget_failure(run.id)
        seconds = float(result.get("seconds", 0.0))
        if seconds:
            summary = self._folder.summary(run.id) or {}
            # Of a run that was gone on with, those are seconds of its last part alone.
            whole = max(seconds, summary.get("wall_seconds", 0.0))
            self._clock.learn(run, whole, summary.get("steps", 0))
        self._progress.ended(run, "", seconds=seconds)
        self._ready.extend(self._waiting.pop(run.id, ()))

    def _failed(
        self, run: PlannedRun, error: str, trace: str = "", *, mistake: bool = False
    ) -> None:
        """Note an attempt in vain; another one would not help against a mistake."""
        before = self._failures.get(run.id)
        attempts = (before.attempts if before else 0) + 1
        final = mistake or attempts >= self._attempts
        failure = Failure(attempts, error, final, trace)
        self._failures[run.id] = failure
        self._folder.record_failure(run.id, failure)
        if final:
            self._give_up(run, failure)
        else:
            self._progress.warn(run, f"attempt {attempts} failed: {failure.error}")
            self._ready.append(run)

    def _give_up(self, run: PlannedRun, failure: Failure | None = None) -> None:
        """A run failed for good, and with it those that need it."""
        waiting = self._waiting.pop(run.id, [])
        self._progress.settle([run.id, *(other.id for other in waiting)])
        if failure is not None:
            also = f" ({len(waiting)} runs need it)" if waiting else ""
            self._progress.ended(run, f": failed, {failure.error}{also}")
