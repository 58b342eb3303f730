"""Questions about modules and tensors that the checks of several kinds ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ssl_registry.interfaces.training import StepOutput, Trainable
from ssl_registry.testing.check import listed, require
from ssl_registry.weights.tensors import owned


def saved(module: nn.Module) -> bytes:
    """The module's state as a safetensors file."""
    return save(owned(module.state_dict()))


def restore(module: nn.Module, content: bytes) -> None:
    """Load a state that `saved` gave; every name must fit."""
    module.load_state_dict(load(content))


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of the module's state."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not the same, bit for bit."""
    return [
        name
        for name in before.keys() | after.keys()
        if name not in before or name not in after or not torch.equal(before[name], after[name])
    ]


def require_gradients(module: nn.Module) -> None:
    """Fail unless each parameter that requires a gradient has one, and none is NaN or infinite."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    without = [name for name, p in trained.items() if p.grad is None]
    require(not without, f"no gradient reaches {listed(without)}")
    wild = [n for n, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
    require(not wild, f"the gradient of {listed(wild)} is not finite")


def require_loss(output: StepOutput) -> None:
    """Fail unless there is a loss to train with, and scalars to log."""
    loss = output.loss
    require(loss.ndim == 0, f"the loss has the shape {list(loss.shape)}, it must be a scalar")
    require(loss.dtype == torch.float32, f"the loss is {loss.dtype}, it must be torch.float32")
    require(bool(loss.isfinite()), f"the loss is {loss.item()}")
    attached = [name for name, value in output.scalars.items() if value.requires_grad]
    require(not attached, f"the scalars {listed(attached)} carry a gradient; detach them")


def require_optimised(module: Trainable) -> None:
    """Fail unless the parameter groups hold each trained parameter once."""
    grouped = [p for group in module.parameter_groups() for p in group.parameters]
    ids = [id(parameter) for parameter in grouped]
    require(len(ids) == len(set(ids)), "parameter_groups() names a parameter twice")
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    missing = [name for name, parameter in trained.items() if id(parameter) not in set(ids)]
    require(not missing, f"parameter_groups() leaves out {listed(missing)}")


def train_step(
    module: Trainable, forward: Callable[[], StepOutput], step: int, *, committed: bool = True
) -> float:
    """One step of plain gradient descent, with what is called around it; gives the loss."""
    parameters = [p for group in module.parameter_groups() for p in group.parameters]
    module.train()
    module.before_step(step)
    output = forward()
    module.zero_grad(set_to_none=True)
    output.loss.backward()  # type: ignore[no-untyped-call]
    if committed:
        with torch.no_grad():
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.05)
    module.after_step(step, committed)
    return float(output.loss.detach())


def require_no_trace(module: Trainable, forward: Callable[[], StepOutput]) -> None:
    """Fail if `after_step` changes the state after a step that was not committed.

    Running statistics may move in the forward pass; the training loop puts them back.
    """
    module.before_step(1)
    forward()
    before = state_of(module)
    module.after_step(1, False)
    moved = changed(before, state_of(module))
    require(not moved, f"after_step(step, committed=False) changes {listed(moved)}")
