"""The Ray executor: workers are actors, wherever the cluster has room for them."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssl_registry import ConfigError, Executor, Outcome, Work
from ssl_registry_ray.config import RayConfig
from ssl_registry_ray.worker import RayWorker

_PASSED_ON = ("SSL_REGISTRY_", "PYTHONPATH")
"""Beginnings of environment variables that workers are given."""


class RayExecutor(Executor):
    """Workers on a Ray cluster.

    Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018,
    https://docs.ray.io. Each worker is an actor with its own cores and GPUs, which takes run after
    run; Ray sets its number of threads and the GPUs it sees. The folders of study, data and cache
    must be on a file system that all machines share.

    Raises:
        ConfigError: Ray is not installed, or no machine has room for a worker.
    """

    def __init__(self, config: RayConfig, logs: Path) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "the executor 'ray' needs Ray: pip install 'ssl-registry[ray]'"
            ) from error
        self._ray: Any = ray
        self._joined = not ray.is_initialized()
        if self._joined:
            ray.init(address=config.address, log_to_driver=False, include_dashboard=False)
        passed = {k: v for k, v in os.environ.items() if k.startswith(_PASSED_ON)}
        self._actor: Any = ray.remote(
            num_cpus=config.cpus,
            num_gpus=config.gpus,
            max_restarts=0,
            runtime_env={"env_vars": passed},
        )(RayWorker)
        self._capacity = config.workers or self._room(config)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Work, Any]] = {}

    def _room(self, config: RayConfig) -> int:
        """How many workers fit into the machines of the cluster; one cannot span two."""
        room = 0
        for node in self._ray.nodes():
            if node["Alive"]:
                has: dict[str, float] = node["Resources"]
                fit = has.get("CPU", 0.0) // config.cpus
                if config.gpus:
                    fit = min(fit, has.get("GPU", 0.0) // config.gpus)
                room += int(fit)
        if not room:
            raise ConfigError(
                f"no machine of the cluster has room for a worker of {config.cpus} cores and "
                f"{config.gpus:g} GPUs; lower executor.cpus or executor.gpus, or set "
                "executor.workers where machines join the cluster later"
            )
        return room

    @property
    def capacity(self) -> int:
        """The number of workers."""
        return self._capacity

    def submit(self, work: Work) -> None:
        """Give a piece of work to an idle worker, a new one if need be."""
        actor = self._idle.pop() if self._idle else self._actor.remote()
        self._busy[actor.perform.remote(asdict(work))] = (work, actor)

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes that have come."""
        if not self._busy:
            time.sleep(min(seconds, 0.1))
            return []
        # An idle worker would keep its cores from one that waits for room.
        while self._idle:
            self._ray.kill(self._idle.pop())
        pending = list(self._busy)
        self._ray.wait(pending, num_returns=1, timeout=seconds)
        ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        work, actor = self._busy.pop(reference)
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            self._ray.kill(actor)
            text = f"{type(error.cause).__name__}: {error.cause}"
            return Outcome(work.id, lost=text, trace=str(error))
        except self._ray.exceptions.RayError as error:
            # The actor is gone: its process died, or its machine.
            return Outcome(work.id, lost=f"the worker died: {' '.join(str(error).split())}")
        self._idle.append(actor)
        return Outcome(work.id, result=result)

    def close(self, *, patience: float = 0.0) -> None:
        """End all workers at once; a run that is cut off goes on from its last checkpoint."""
        for actor in (*self._idle, *(actor for _, actor in self._busy.values())):
            self._ray.kill(actor)
        self._idle.clear()
        self._busy.clear()
        if self._joined and self._ray.is_initialized():
            self._ray.shutdown()
