"""The optimizer of a run, with one torch group per parameter group of the method or task."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ssl_registry.config.training import OptimizerConfig
from ssl_registry.interfaces.training import Trainable
from ssl_registry.training.lars import LARS
from ssl_registry.training.schedule import Schedule


class ScheduledOptimizer:
    """A torch optimizer whose rates are set from the step, never accumulated.

    Attributes:
        optimizer: What moves the parameters; to be stepped by `step` alone. For Adam on the CPU,
            which copies gradients that are not contiguous, weights of convolutions whose
            channels are last are stood for by others `[O, h, w, C]` in the same memory, which have
            gradients only during a step.
    """

    def __init__(self, module: Trainable, config: OptimizerConfig, schedule: Schedule) -> None:
        self._schedule = schedule
        self._scales: list[tuple[float, bool]] = []
        groups: list[dict[str, Any]] = []
        for group in module.parameter_groups():
            parameters = [p for p in group.parameters if p.requires_grad]
            if parameters:
                decay = config.weight_decay if group.weight_decay else 0.0
                groups.append(
                    {
                        "params": parameters,
                        "weight_decay": decay,
                        # Not `decay > 0`: without any decay, weights are still adapted.
                        "adapted": group.weight_decay,
                    }
                )
                self._scales.append((group.rate_scale, group.scheduled))
        self.optimizer = _optimizer(groups, config)  # which refuses a parameter in two groups
        self._parameters = [p for settings in groups for p in settings["params"]]
        if config.name in ("adam", "adamw"):
            for settings in self.optimizer.param_groups:
                settings["params"] = [_in_order(parameter) for parameter in settings["params"]]
        self._moved = [p for settings in self.optimizer.param_groups for p in settings["params"]]

    def set_step(self, step: int) -> float:
        """Set the rates of `step`; gives the scheduled rate."""
        scheduled = self._schedule.rate(step)
        pairs = zip(self.optimizer.param_groups, self._scales, strict=True)
        for group, (scale, follows) in pairs:
            group["lr"] = scale * (scheduled if follows else self._schedule.peak)
        return scheduled

    def gradient_norm(self) -> torch.Tensor:
        """Euclidean norm of all gradients together; not finite if one of them is not."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        return torch.nn.utils.get_total_norm(gradients)

    def zero_grad(self) -> None:
        """Forget the gradients, and free their memory."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self) -> None:
        """Move the parameters along their gradients.

        Backward gives gradients the layout of their parameter. One that was set otherwise, by a
        hook or a method, gets it here: torch's fused optimizers walk through the memory of both
        side by side, and would move wrong elements without a word.
        """
        pairs = list(zip(self._parameters, self._moved, strict=True))
        for parameter, moved in pairs:
            gradient = parameter.grad
            if moved is not parameter:
                # Copies only of what was set to lie otherwise.
                moved.data = parameter.data.permute(0, 2, 3, 1).contiguous()
                if gradient is not None:
                    moved.grad = gradient.permute(0, 2, 3, 1).contiguous()
            elif gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter, requires_grad=False).copy_(gradient)
        self.optimizer.step()
        for parameter, moved in pairs:
            if moved is not parameter:
                moved.grad = None
                if moved.data_ptr() != parameter.data_ptr():
                    parameter.data.copy_(moved.data.permute(0, 3, 1, 2))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state as named tensors: `<parameter number>.<name>`."""
        state = self.optimizer.state_dict()["state"]
        tensors: dict[str, torch.Tensor] = {}
        for number, values in state.items():
            for name, value in values.items():
                if isinstance(value, torch.Tensor):
                    turned = self._is_turned(number, name)
                    tensors[f"{number}.{name}"] = value.permute(0, 3, 1, 2) if turned else value
        return tensors

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take back what `tensors` gave.

        Moments get the memory layout of their parameter back: another layout could take another
        vectorised path, and with it other last bits.
        """
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            place, _, name = key.partition(".")
            number = int(place)
            parameter = self._parameters[number]
            if name != "step" and value.shape == parameter.shape:
                turned = value.permute(0, 2, 3, 1) if self._is_turned(number, name) else value
                value = torch.empty_like(self._moved[number], requires_grad=False).copy_(turned)
            state.setdefault(number, {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _is_turned(self, number: int, name: str) -> bool:
        """Whether the optimizer has the axes of this piece of state in another order."""
        return self._moved[number] is not self._parameters[number] and name != "step"


def _in_order(parameter: nn.Parameter) -> nn.Parameter:
    """The parameter, or one of the same memory, `[O, h, w, C]`, where channels are last."""
    last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    if parameter.device.type != "cpu" or not last or parameter.is_contiguous():
        return parameter
    return nn.Parameter(parameter.detach().permute(0, 2, 3, 1))


def _optimizer(groups: list[dict[str, Any]], config: OptimizerConfig) -> Optimizer:
    kinds = {parameter.device.type for group in groups for parameter in group["params"]}
    if config.name == "sgd":
        # On the CPU its fused form is no faster.
        fused = kinds == {"cuda"}
        return SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=fused)
    if config.name == "lars":
        return LARS(
            groups,
            lr=config.learning_rate,
            momentum=config.momentum,
            trust_coefficient=config.trust_coefficient,
        )
    kind = Adam if config.name == "adam" else AdamW
    # One pass over each tensor in place of one per operation.
    return kind(groups, lr=config.learning_rate, fused=kinds <= {"cpu", "cuda"})
