"""The local executor: a fixed number of worker processes, replaced when they die."""

from __future__ import annotations

import selectors
import signal
import time
from pathlib import Path

from ssl_registry import Executor, Outcome, Work
from ssl_registry_local.config import LocalConfig
from ssl_registry_local.devices import VISIBLE, cores, gpus
from ssl_registry_local.process import WorkerProcess

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalExecutor(Executor):
    """Worker processes on this machine.

    Each worker imports torch once and then takes run after run. Cores are divided among the
    workers; on a machine with GPUs the workers are dealt out over them, and each sees its own
    alone.
    """

    def __init__(self, config: LocalConfig, logs: Path) -> None:
        devices = gpus()
        default = len(devices) * config.workers_per_gpu or max(1, cores() // 2)
        count = config.workers or default
        threads = config.threads or max(1, cores() // count)
        self._environments: list[dict[str, str]] = [
            {name: str(threads) for name in THREADS} for _ in range(count)
        ]
        for number, environment in enumerate(self._environments):
            if devices:
                environment[VISIBLE] = devices[number % len(devices)]
        self._logs = logs
        self._workers: list[WorkerProcess | None] = [None] * count

    @property
    def capacity(self) -> int:
        """The number of workers."""
        return len(self._workers)

    def submit(self, work: Work) -> None:
        """Give a piece of work to an idle worker, a new one if need be."""
        for worker in self._workers:
            if worker is not None and worker.work is None and worker.alive:
                worker.send(work)
                return
        for number, worker in enumerate(self._workers):
            if worker is None or (worker.work is None and not worker.alive):
                if worker is not None:
                    worker.join(0)
                started = self._start(number)
                self._workers[number] = started
                started.send(work)
                return
        raise RuntimeError(f"all {self.capacity} workers are busy")

    def _start(self, number: int) -> WorkerProcess:
        return WorkerProcess(self._logs / f"worker-{number}.log", self._environments[number])

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes that have come."""
        busy = [worker for worker in self._workers if worker is not None and worker.work]
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker, selectors.EVENT_READ, worker)
            ready = [key.data for key, _ in selector.select(seconds)] if busy else []
        outcomes = []
        for worker in busy:
            # Of one that has died, a process that its work has started may hold the pipe open.
            gone = worker not in ready and not worker.alive
            outcome = worker.receive() if worker in ready else worker.lose() if gone else None
            if outcome is not None:
                outcomes.append(outcome)
                if outcome.lost:
                    _kill(worker)
        return outcomes

    def close(self, *, patience: float = 0.0) -> None:
        """Ask all workers to end, so that a run may write a checkpoint; then make them."""
        workers = [worker for worker in self._workers if worker is not None]
        self._workers = [None] * self.capacity
        if patience:
            for worker in workers:
                worker.stop(signal.SIGTERM)
        until = time.monotonic() + patience
        for worker in workers:
            if not worker.join(max(0.0, until - time.monotonic())):
                _kill(worker)


def _kill(worker: WorkerProcess) -> None:
    worker.stop(signal.SIGKILL)
    worker.join(10)
