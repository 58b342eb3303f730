"""One step: forward, backward and update, over micro-batches and processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
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
from ssl_registry.training.monitoring import numbers_of, scalars_of
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.processes import agreed
from ssl_registry.training.running import RunningStatistics


@dataclass(frozen=True)
class Step:
    """What became of a step; the same in all processes.

    Attributes:
        loss: Mean loss of the whole batch.
        gradient_norm: Norm of its gradients; NaN if the loss is not finite.
        stopping: Whether a process was asked to stop before the step's end.
        reported: What the step reported.
    """

    loss: float
    gradient_norm: float
    stopping: bool
    reported: dict[str, float] = field(default_factory=dict)

    @property
    def committed(self) -> bool:
        """Whether the weights were moved: loss and gradients were finite."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)

    @property
    def scalars(self) -> dict[str, float]:
        """What the step reported, and its gradient norm."""
        return {**self.reported, "gradient_norm": self.gradient_norm}


@dataclass(frozen=True)
class Launched:
    """A step that was committed without waiting for its numbers.

    Attributes:
        tensors: Scalars: loss, gradient norm, share of the processes that were asked to stop, and
            what was reported.
        names: Of what was reported.
    """

    tensors: list[Tensor]
    names: list[str]

    def step(self, numbers: Sequence[float]) -> Step:
        """The step, now that the numbers of its tensors are known."""
        loss, norm, stop, *reported = numbers
        return Step(loss, norm, stop > 0, dict(zip(self.names, reported, strict=True)))


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
        self._start(step)
        self._statistics.keep()
        output, stop = over_processes(self._forward_and_backward(batch), stopping)
        loss = output.loss.item()
        norm = self._optimizer.gradient_norm().item() if math.isfinite(loss) else math.nan
        reported: dict[str, float] = {}
        if math.isfinite(norm):
            self._optimizer.step()
            self._local.average()
            scalars = scalars_of(output)
            reported = dict(zip(scalars, numbers_of([*scalars.values()]), strict=True))
        else:
            self._statistics.put_back()
        module.after_step(step, math.isfinite(norm))
        return Step(loss, norm, stop.item() > 0, reported)

    def launch(self, step: int, batch: NDArray[np.int64], stopping: bool) -> Launched:
        """Take a step, and move the weights whatever its loss is; no device is waited for.

        The arguments are those of `take`.
        """
        self._start(step)
        output, stop = over_processes(self._forward_and_backward(batch), stopping)
        norm = self._optimizer.gradient_norm()
        self._optimizer.step()
        self._local.average()
        scalars = scalars_of(output)
        self._job.module.after_step(step, True)
        return Launched([output.loss, norm, stop, *scalars.values()], [*scalars])

    def _start(self, step: int) -> None:
        self._optimizer.set_step(step)
        self._job.module.train()
        self._job.module.before_step(step)

    def _forward_and_backward(self, batch: NDArray[np.int64]) -> StepOutput:
        """Gradients of the mean loss over the micro-batches; gives what they reported.

        A loss that is not finite has its backward, too: other processes wait for its gradients.
        """
        self._optimizer.zero_grad()
        parts = dealt(batch, self._accumulation)
        outputs: list[StepOutput] = []
        for number, part in enumerate(parts, start=1):
            with without_exchange(self._wrapped, last=number == len(parts)):
                output = self._job.step(part)
                loss = output.loss if len(parts) == 1 else output.loss / len(parts)
                torch.autograd.backward(loss)
            outputs.append(output)
        return joined(outputs)
