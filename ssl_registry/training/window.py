"""Steps that are taken on trust, several in a row, so that a GPU is not waited for in each.

To decide whether an update is to be committed its loss and gradient norm must be known, and to
read them the processor has to wait for the device. Within a window each step is committed
unseen. Its numbers are read at the window's end, all at once. If one of them was not finite, what
was kept at the window's beginning is put back and the steps are taken again one by one. Everything
a step draws is a function of the seed and the step, so the run is the same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.nn.distributed import world_size
from ssl_registry.training.job import Job
from ssl_registry.training.monitoring import numbers_of
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.stepper import Launched, Step, Stepper

LONGEST: Final[dict[str, int]] = {"cuda": 20}
"""Steps of a window, by the kind of device; elsewhere nothing is gained by windows."""


class Windows:
    """Takes the steps of a loop, in windows where that pays.

    Args:
        job: The job; its module is on the device.
        optimizer: Moves the module's weights.
        stepper: Takes single steps.
        device: Kind of device.
        begin: Makes ready for a step, from 0: seeds what it draws; gives the places of its images.
        stopping: Whether this process was asked to stop.
    """

    def __init__(
        self,
        job: Job,
        optimizer: ScheduledOptimizer,
        stepper: Stepper,
        device: str,
        begin: Callable[[int], NDArray[np.int64]],
        stopping: Callable[[], bool],
    ) -> None:
        self._job, self._stepper = job, stepper
        self._begin, self._stopping = begin, stopping
        self._longest = LONGEST.get(device, 1)
        self._snapshot = Snapshot(job, optimizer) if self._longest > 1 else None
        self._singly_until = 0

    def take(self, step: int, most: int) -> list[Step]:
        """Take `step` and perhaps some of those after it, in all processes at once.

        The job is told of those that were committed.

        Args:
            step: Number of the first, from 0.
            most: So many may be taken before something else is due.
        """
        count = 1 if step < self._singly_until else min(most, self._longest)
        if self._snapshot is not None and count > 1:
            self._snapshot.keep()
            steps = self._on_trust(step, count)
            if steps is not None:
                return steps
            self._snapshot.put_back()
            self._singly_until = step + count
        single = self._stepper.take(step, self._begin(step), self._stopping())
        if single.committed:
            self._job.stepped(single.scalars)
        return [single]

    def _on_trust(self, first: int, count: int) -> list[Step] | None:
        """Several steps; None if they must be taken again one by one."""
        launched: list[Launched] = []
        for number in range(first, first + count):
            launched.append(self._stepper.launch(number, self._begin(number), self._stopping()))
            if world_size() == 1 and self._stopping():  # several end their windows together
                break
        values = iter(numbers_of([tensor for each in launched for tensor in each.tensors]))
        steps = [each.step([next(values) for _ in each.tensors]) for each in launched]
        if not all(step.committed for step in steps):
            return None
        before = dict(self._job.numbers())
        for step in steps:
            self._job.stepped(step.scalars)
            if self._job.stop_reason and step is not steps[-1]:
                self._job.restore(self._job.tensors(), before)
                return None
        return steps


class Snapshot:
    """What steps change on the device, kept in memory of its own."""

    def __init__(self, job: Job, optimizer: ScheduledOptimizer) -> None:
        module = job.module
        self._optimizer = optimizer.optimizer
        self._lasting = [*module.parameters(), *module.buffers()]
        self._state: dict[Tensor, dict[str, Any]] = {}
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}

    def keep(self) -> None:
        """Keep all as it is now."""
        # The optimizer makes its own at a parameter's first step.
        self._state = {p: dict(values) for p, values in self._optimizer.state.items()}
        tensors = [*self._lasting, *self._moments()]
        self._copies = {id(t): self._copies.get(id(t)) or (t, torch.empty_like(t)) for t in tensors}
        self._copy(to_module=False)

    def put_back(self) -> None:
        """Make all what it was when last kept."""
        self._optimizer.state.clear()
        self._optimizer.state.update({p: dict(values) for p, values in self._state.items()})
        self._copy(to_module=True)

    def _moments(self) -> list[Tensor]:
        return [v for s in self._state.values() for v in s.values() if isinstance(v, Tensor)]

    @torch.no_grad()
    def _copy(self, *, to_module: bool) -> None:
        # Those of one kind next to each other: a GPU copies them in one go.
        kinds: dict[tuple[torch.dtype, torch.device], tuple[list[Tensor], list[Tensor]]] = {}
        for tensor, copy in self._copies.values():
            own, copies = kinds.setdefault((tensor.dtype, tensor.device), ([], []))
            own.append(tensor)
            copies.append(copy)
        for own, copies in kinds.values():
            torch._foreach_copy_(*((own, copies) if to_module else (copies, own)))
