"""The LARS optimizer, as SimCLR uses it for large batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, algorithm 1).

    With w the weights of a layer, g their gradient, :math:`\lambda` the weight decay,
    :math:`\eta` the trust coefficient, m the momentum and :math:`\gamma` the rate,

    .. math::
        u = g + \lambda w, \qquad
        v \leftarrow m v + \gamma \, \eta \frac{\|w\|}{\|u\|} \, u, \qquad
        w \leftarrow w - v .

    This is the variant of SimCLR's authors: the ratio is taken with the norm of the sum
    :math:`g + \lambda w`, not with the sum of the norms, and the rate is inside the momentum, so
    that a change of rate does not scale earlier steps. The ratio is 1 where either norm is 0.

    Args:
        params: Parameters or groups of them. A group with `"adapted": False` (biases and norms)
            is moved by SGD with the same momentum: its ratio is 1.
        lr: Rate of groups that name none.
        momentum: Share of the last update that is kept, in [0, 1).
        trust_coefficient: :math:`\eta`, above 0.
        weight_decay: :math:`\lambda` of groups that name none.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "trust_coefficient": trust_coefficient,
            "weight_decay": weight_decay,
            "adapted": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; gives what `closure` gives."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        direction = gradient.add(weights, alpha=group["weight_decay"])
        if group["adapted"]:
            direction = direction * _trust_ratio(weights, direction, group["trust_coefficient"])
        state = self.state[weights]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weights)
        velocity: Tensor = state["momentum_buffer"]
        velocity.mul_(group["momentum"]).add_(direction, alpha=group["lr"])
        weights.sub_(velocity)


def _trust_ratio(weights: Tensor, direction: Tensor, coefficient: float) -> Tensor:
    """Ratio of the norms times the coefficient; a tensor, so that no GPU waits for it."""
    size, length = weights.norm(), direction.norm()
    defined = (size > 0) & (length > 0)
    return torch.where(defined, coefficient * size / length, torch.ones_like(size))
