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
            weights = [parameter for parameter in group["params"] if parameter.grad is not None]
            if weights:
                self._move(weights, group)
        return loss

    def _move(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Move all weights of a group at once, an operation on all of them at a time."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        directions = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        if group["adapted"]:
            ratios = _trust_ratios(weights, directions, group["trust_coefficient"])
            torch._foreach_mul_(directions, list(ratios))
        velocities = [self._velocity(weight) for weight in weights]
        torch._foreach_mul_(velocities, group["momentum"])
        torch._foreach_add_(velocities, directions, alpha=group["lr"])
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"]
        return velocity


def _trust_ratios(
    weights: list[Tensor], directions: tuple[Tensor, ...], coefficient: float
) -> tuple[Tensor, ...]:
    """Ratios of the norms times the coefficient; tensors, so that no GPU is waited for."""
    sizes = torch.stack(torch._foreach_norm(weights))
    lengths = torch.stack(torch._foreach_norm(directions))
    defined = (sizes > 0) & (lengths > 0)
    ratios = torch.where(defined, coefficient * sizes / lengths, torch.ones_like(sizes))
    return ratios.unbind()
