"""What a study will take, before it is begun: counts, time and disk."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssl_registry.errors import RunError
from ssl_registry.interfaces.executor import Executor, Outcome, Work
from ssl_registry.progress import say
from ssl_registry.study import trial
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.plan import Plan, PlannedRun
from ssl_registry.study.schedule import payload_of
from ssl_registry.study.timing import Clock, bytes_of, seconds_of, speed_key
from ssl_registry.study.trial import Measured


@dataclass(frozen=True)
class Estimate:
    """What the missing runs of a study will take.

    Attributes:
        missing: How many they are, by kind.
        seconds: Their time, by kind, one after the other.
        workers: How many run at the same time.
        longest: Seconds of the longest pre-training with its longest fine-tuning.
        bytes: What they will keep on the disk.
        free: Room on the disk.
    """

    missing: Mapping[str, int]
    seconds: Mapping[str, float]
    workers: int
    longest: float
    bytes: int
    free: int

    @property
    def elapsed(self) -> float:
        """Seconds until all is done, workers always busy, but for what waits."""
        workers = max(1, min(self.workers, sum(self.missing.values())))
        return max(self.longest, sum(self.seconds.values()) / workers)


def estimate(
    plan: Plan,
    folder: StudyFolder,
    executor: Executor,
    clock: Clock,
    *,
    keep_checkpoints: bool,
) -> Estimate:
    """Estimate time and disk of the missing runs.

    Where runs of the same cell have finished, their time is taken; elsewhere a few steps are
    timed, once for all runs whose steps take equally long.

    Raises:
        RunError: A trial failed; the run would fail as well.
    """
    missing = [run for run in plan.runs.values() if not folder.done(run.id)]
    alike: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in missing:
        alike[speed_key(run)].append(run)
    counts, seconds = {"pretrain": 0, "finetune": 0}, {"pretrain": 0.0, "finetune": 0.0}
    of_run: dict[str, float] = {}
    size = held = 0
    for runs in alike.values():
        measured = _measure(_typical(runs), folder, executor)
        for run in runs:
            known = clock.seconds(run) if clock.knows(run) else None
            counts[run.kind] += 1
            of_run[run.id] = seconds_of(run, measured) if known is None else known
            seconds[run.kind] += of_run[run.id]
            size += bytes_of(run, measured, checkpoints=keep_checkpoints)
        held = max(held, measured.checkpoint + measured.weights)
    # While they run they hold a checkpoint; the new one is written before the old is removed.
    size += 2 * held * min(executor.capacity, len(missing))
    longest = max((of_run[run.id] + of_run.get(run.needs, 0.0) for run in missing), default=0.0)
    return Estimate(counts, seconds, executor.capacity, longest, size, folder.free_bytes())


def _typical(runs: Sequence[PlannedRun]) -> PlannedRun:
    """The run with the most labels, whose epochs are the longest."""
    return max(runs, key=lambda run: run.config.get("fraction", 1.0))


def _measure(run: PlannedRun, folder: StudyFolder, executor: Executor) -> Measured:
    say(f"timing {trial.STEPS} steps of {run.title}", sys.stderr)
    executor.submit(Work(run.id, trial.CALL, payload_of(run, folder, keep_checkpoints=False)))
    outcomes: list[Outcome] = []
    while not outcomes:
        outcomes = executor.wait(5.0)
    result = outcomes[0].result or {"error": outcomes[0].lost}
    if "measured" not in result:
        raise RunError(f"{run.title} cannot be run: {result['error']}")
    return Measured(**result["measured"])
