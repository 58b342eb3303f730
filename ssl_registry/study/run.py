"""A study as a whole: planned, checked, carried out, and its table written."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ssl_registry.build import build_executor
from ssl_registry.errors import RunError
from ssl_registry.interfaces.executor import Executor
from ssl_registry.progress import say
from ssl_registry.study.checks import check_study
from ssl_registry.study.estimate import Estimate, estimate
from ssl_registry.study.expand import plan_study
from ssl_registry.study.folder import STUDIES, StudyFolder
from ssl_registry.study.perform import CALL
from ssl_registry.study.plan import Plan
from ssl_registry.study.progress import StudyProgress
from ssl_registry.study.rows import DONE, FAILED, Line, write_rows
from ssl_registry.study.schedule import Scheduler
from ssl_registry.study.source import Source
from ssl_registry.study.timing import Clock

PATIENCE = 60.0
"""Seconds that running runs are given to write a checkpoint when a study is stopped."""


def folder_of(source_name: str, out: Path | None) -> StudyFolder:
    """The folder of a study: `out`, or `studies/<name>`."""
    return StudyFolder(STUDIES / source_name if out is None else out)


def run_study(
    source: Source, folder: StudyFolder, *, retry_failed: bool = False, call: str = CALL
) -> list[Line]:
    """Do what is missing of a study; gives the lines of its table.

    Args:
        source: The study.
        folder: Where its runs are.
        retry_failed: Whether runs that failed for good are tried again.
        call: What workers call for a run.

    Raises:
        UserError: The study has mistakes, data are not there, or something stopped it that would
            befall every run. What is done stays.
    """
    plan = plan_study(source)
    for text in plan.left_out:
        say(text, sys.stderr)
    check_study(plan, folder)
    with folder.held():
        folder.begin(source.text, plan)
        if retry_failed:
            for identity in folder.failures():
                folder.forget_failure(identity)
        try:
            with _terminable(), _executor(source, folder) as executor:
                _scheduler(source, plan, folder, executor, call).carry_out()
        except BaseException:
            # Half a table is better than none, but what ended the study must be told.
            with contextlib.suppress(RunError):
                write_rows(plan, folder)
            raise
        return write_rows(plan, folder)


def estimate_study(source: Source, folder: StudyFolder) -> tuple[Plan, Estimate]:
    """The plan of a study and what its missing runs will take; nothing of it is begun.

    Raises:
        UserError: The study has mistakes, data are not there, or a run cannot be begun.
    """
    import tempfile

    plan = plan_study(source)
    check_study(plan, folder)
    with tempfile.TemporaryDirectory(prefix="ssl-registry-logs-") as logs:
        executor = build_executor(source.config.executor, Path(logs))
        try:
            found = estimate(
                plan,
                folder,
                executor,
                learned(plan, folder),
                keep_checkpoints=source.config.keep_checkpoints,
            )
        finally:
            executor.close()
    return plan, found


def learned(plan: Plan, folder: StudyFolder) -> Clock:
    """What the finished runs of a study tell of the time that others will take."""
    clock = Clock()
    for run in plan.runs.values():
        summary = folder.summary(run.id)
        if summary is not None:
            clock.learn(run, summary.get("wall_seconds", 0.0), summary.get("steps", 0))
    return clock


@contextmanager
def _executor(source: Source, folder: StudyFolder) -> Iterator[Executor]:
    executor = build_executor(source.config.executor, folder.logs)
    try:
        yield executor
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            say(f"stopping; runs write a checkpoint first (at most {PATIENCE:.0f} s)", sys.stderr)
        executor.close(patience=PATIENCE)
        raise
    executor.close()


@contextmanager
def _terminable() -> Iterator[None]:
    """In the block SIGTERM, as a scheduler sends it, is like Ctrl-C; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _scheduler(
    source: Source, plan: Plan, folder: StudyFolder, executor: Executor, call: str
) -> Scheduler:
    clock = learned(plan, folder)
    return Scheduler(
        plan,
        folder,
        executor,
        StudyProgress(plan, folder, clock, executor.capacity),
        clock,
        call=call,
        attempts=source.config.attempts,
        keep_checkpoints=source.config.keep_checkpoints,
    )


def counts(table: list[Line]) -> dict[str, int]:
    """How many lines of a table are done, failed and missing."""
    states = [line["status"] for line in table]
    done, failed = states.count(DONE), states.count(FAILED)
    return {"done": done, "failed": failed, "missing": len(states) - done - failed}
