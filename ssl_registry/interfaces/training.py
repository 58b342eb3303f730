"""What a training loop asks of the module it trains; methods and tasks share it."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are optimised alike.

    Attributes:
        parameters: The parameters; those that need no gradient are left out.
        rate_scale: Factor on the learning rate.
        weight_decay: Whether the optimizer's weight decay applies.
        scheduled: Whether the rate follows the schedule (False: it stays at the peak).
    """

    parameters: tuple[nn.Parameter, ...]
    rate_scale: float = 1.0
    weight_decay: bool = True
    scheduled: bool = True


@dataclass(frozen=True)
class StepOutput:
    """What one forward of a training step gives.

    Attributes:
        loss: Scalar, fp32, to be minimised.
        scalars: Further named scalars to log, without gradient.
        embeddings: `[M, D]` outputs to watch for collapse, without gradient, if there are any.
    """

    loss: Tensor
    scalars: Mapping[str, Tensor] = field(default_factory=dict)
    embeddings: Tensor | None = None


def decay_groups(
    parameters: Iterable[nn.Parameter],
    *,
    biases_and_norms: bool = False,
    rate_scale: float = 1.0,
    scheduled: bool = True,
) -> Iterator[ParameterGroup]:
    """Two groups of parameters: those that weight decay applies to, and those it spares.

    Args:
        parameters: The parameters; those that need no gradient are left out.
        biases_and_norms: Whether these, the parameters of a single dimension, are decayed too;
            the second group is empty then.
        rate_scale: Factor on the learning rate of both groups.
        scheduled: Whether the rate of both groups follows the schedule.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for parameter in parameters:
        if parameter.requires_grad:
            (decayed if biases_and_norms or parameter.ndim > 1 else spared).append(parameter)
    yield ParameterGroup(tuple(decayed), rate_scale, scheduled=scheduled)
    yield ParameterGroup(tuple(spared), rate_scale, weight_decay=False, scheduled=scheduled)


class Trainable(nn.Module, ABC):
    """A module with its own view of how it is optimised and what happens around a step.

    What is kept from one step to the next belongs into parameters and buffers. These alone are in
    a checkpoint; and on a GPU steps are taken several in a row before it is known whether their
    losses were finite: if one was not, parameters and buffers are put back, and the same steps are
    taken again. To leave nothing waiting, no step should read numbers from the device, as `item`,
    `bool` or an index by a mask do.
    """

    def parameter_groups(self) -> Iterable[ParameterGroup]:
        """How parameters are optimised; by default all alike, biases and norms not decayed."""
        return decay_groups(self.parameters())

    def before_step(self, step: int) -> None:
        """Called before the forward of `step` (from 0)."""

    def after_step(self, step: int, committed: bool) -> None:
        """Called after `step`; `committed` is False if the update was skipped.

        `committed` may be True for a step that turns out otherwise later; all is put back then.
        A method moves its EMA and queue here, and only if the step was committed.
        """
