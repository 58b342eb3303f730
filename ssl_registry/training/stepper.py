"""One step: forward, backward and update, over micro-batches and processes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parallel import DistributedDataParallel

from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.distributed import alone, world_size
from ssl_registry.training.distributed import (
    LocalRunningStatistics,
    dealt,
    joined,
    leaves_out,
    over_processes,
    without_exchange,
    wrap,
)
from ssl_registry.training.job import Job
from ssl_registry.training.monitoring import scalars_of
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.processes import agreed
from ssl_registry.training.running import RunningStatistics


@dataclass(frozen=True)
class Step:
    """What became of a step; the same in all processes.

    Attributes:
        loss: Mean loss of the whole batch.
        committed: Whether the weights were moved: loss and gradients were finite.
        stopping: Whether a process was asked to stop before the step's end.
        scalars: What a committed step reported, and its gradient norm.
    """

    loss: float
    committed: bool
    stopping: bool
    scalars: dict[str, float] = field(default_factory=dict)


class Stepper:
    """Takes the steps of a job.

    Args:
        job: The job; its module is on the device.
        optimizer: Moves the module's weights.
        accumulation: Micro-batches of a step.
    """

    def __init__(self, job: Job, optimizer: ScheduledOptimizer, accumulation: int) -> None:
        self._job, self._optimizer, self._accumulation = job, optimizer, accumulation
        self._statistics = RunningStatistics(job.module)
        self._local = LocalRunningStatistics(job.module)
        self._wrapped: DistributedDataParallel | None = None

    def join_processes(self, batch: NDArray[np.int64]) -> None:
        """Let the processes share their gradients from now on; one process has none to share.

        Args:
            batch: The places of a batch's images, of which one forward tells whether steps leave
                parameters out. In eval mode, it leaves no trace.

        Raises:
            UserError: The method refuses its batch.
        """
        if world_size() == 1:
            return
        module = self._job.module
        module.eval()
        with agreed(), alone():
            loss = self._job.step(dealt(batch)[0][:2]).loss
        self._wrapped = wrap(module, leaves_out(module, loss))
        self._job.forward_by(self._wrapped)

    def take(self, step: int, batch: NDArray[np.int64], stopping: bool) -> Step:
        """Take a step, in all processes at once.

        A step with a loss or gradient that is not finite, in whatever process, moves nothing.

        Args:
            step: Its number, from 0.
            batch: The places of its images, in all processes the same.
            stopping: Whether this process was asked to stop.
        """
        module = self._job.module
        self._optimizer.set_step(step)
        module.train()
        module.before_step(step)
        self._statistics.keep()
        own = self._forward_and_backward(batch)
        output, stopping = over_processes(own, stopping)
        loss = output.loss.item()
        norm = self._optimizer.gradient_norm() if math.isfinite(loss) else math.nan
        committed = math.isfinite(norm)
        scalars: dict[str, float] = {}
        if committed:
            self._optimizer.optimizer.step()
            self._local.average()
            scalars = {**scalars_of(output), "gradient_norm": norm}
        else:
            self._statistics.put_back()
        module.after_step(step, committed)
        return Step(loss, committed, stopping, scalars)

    def _forward_and_backward(self, batch: NDArray[np.int64]) -> StepOutput:
        """Gradients of the mean loss over the micro-batches; gives what they reported.

        A loss that is not finite has its backward, too: other processes wait for its gradients.
        """
        self._optimizer.optimizer.zero_grad(set_to_none=True)
        parts = dealt(batch, self._accumulation)
        outputs: list[StepOutput] = []
        for number, part in enumerate(parts, start=1):
            with without_exchange(self._wrapped, last=number == len(parts)):
                output = self._job.step(part)
                loss = output.loss if len(parts) == 1 else output.loss / len(parts)
                torch.autograd.backward(loss)
            outputs.append(output)
        return joined(outputs)
