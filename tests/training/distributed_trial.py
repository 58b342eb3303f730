"""Steps of a method in several real processes, on CPUs and in float64."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from process_pair import in_processes
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ssl_registry.build import build_backbone, build_method
from ssl_registry.config.model import ComponentConfig, MethodConfig
from ssl_registry.interfaces.augmentation import Views
from ssl_registry.interfaces.method import Method, MethodContext, PretrainBatch
from ssl_registry.nn.distributed import rank, world_size
from ssl_registry.nn.trunk import Trunk
from ssl_registry.nn.whole_batch_norm import normalize_over_processes
from ssl_registry.registry import config_model
from ssl_registry.training.distributed import (
    LocalRunningStatistics,
    dealt,
    without_exchange,
    wrap,
)
from ssl_registry.training.randomness import seed_torch

_INPUTS, _RESULT = "inputs.safetensors", "result-{}.safetensors"


@dataclass(frozen=True)
class Trial:
    """A few steps of plain gradient descent on given views.

    Attributes:
        method: The method's config.
        backbone: The config of the backbone that it trains.
        views: For each step its views, each `[N, C, H, W]`; N is divisible by the processes.
        sample_ids: The images' ids for each step, int64 `[N]`; by default 0 to N - 1.
        meta: Per metadata key int64 `[N]`, the same in every step.
        vocabulary: See `MethodContext`.
        num_images: Images that the method is told there are.
        accumulation: Micro-batches of a step.
        rate: Learning rate.
        seed: Of the initial weights, and of what a step draws in the first process.
    """

    method: MethodConfig
    backbone: ComponentConfig
    views: Sequence[Sequence[Tensor]]
    sample_ids: Sequence[Tensor] = ()
    meta: Mapping[str, Tensor] = field(default_factory=dict)
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    num_images: int = 64
    accumulation: int = 1
    rate: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What a trial left in one process.

    Attributes:
        losses: Float64 `[steps]`, of this process's own images; means over micro-batches.
        gradients: By parameter name `[steps, ...]`; without those that got none.
        state: The method's state dict after the last step.
    """

    losses: Tensor
    gradients: Mapping[str, Tensor]
    state: Mapping[str, Tensor]


def take_steps(trial: Trial) -> Outcome:
    """Take a trial's steps in this process, with the others of its session."""
    channels = trial.views[0][0].shape[1]
    count = len(trial.views[0][0])
    seed_torch(trial.seed, "trial")
    trunk = Trunk(build_backbone(trial.backbone, 3 if channels == 3 else 1))
    context = MethodContext(
        num_images=trial.num_images,
        total_steps=len(trial.views),
        batch_size=count // world_size() // trial.accumulation,
        image_size=trial.views[0][0].shape[-1],
        channels=channels,
        vocabulary=trial.vocabulary,
        world_size=world_size(),
    )
    method = build_method(trial.method, trunk, context).double().train()
    forward = _joined(method) if world_size() > 1 else method
    local = LocalRunningStatistics(method)
    losses: list[Tensor] = []
    gradients: dict[str, list[Tensor]] = {}
    for step in range(len(trial.views)):
        seed_torch(trial.seed, "step", step, rank())
        method.zero_grad(set_to_none=True)
        method.before_step(step)
        losses.append(_backward(forward, trial, step))
        for name, parameter in method.named_parameters():
            if parameter.grad is not None:
                gradients.setdefault(name, []).append(parameter.grad.clone())
                parameter.data.add_(parameter.grad, alpha=-trial.rate)
        local.average()
        method.after_step(step, committed=True)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    stacked = {name: torch.stack(values) for name, values in gradients.items()}
    return Outcome(torch.stack(losses), stacked, state)


def _joined(method: Method) -> torch.nn.Module:
    """What a run does to a method's module in several processes."""
    normalize_over_processes(method)
    return wrap(method, unused=True)


def _backward(forward: torch.nn.Module, trial: Trial, step: int) -> Tensor:
    """Make the gradients of a step; gives its loss."""
    views = trial.views[step]
    ids = trial.sample_ids[step] if trial.sample_ids else torch.arange(len(views[0]))
    parts = dealt(torch.arange(len(ids)), trial.accumulation)
    losses = []
    for number, places in enumerate(parts, start=1):
        batch = PretrainBatch(
            Views(tuple(view[places].double() for view in views)),
            ids[places],
            {key: codes[places] for key, codes in trial.meta.items()},
        )
        with without_exchange(forward, last=number == len(parts)):
            losses.append(forward(batch).loss / len(parts))
            torch.autograd.backward(losses[-1])
    return torch.stack(losses).detach().double().sum()


def take_steps_in(trials: Sequence[Trial], processes: int = 2) -> list[list[Outcome]]:
    """Take the steps of some trials, one after the other, in the same several new processes.

    Gives for each trial what each process was left with.
    """
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(number) for number in range(len(trials))]
        for trial, folder in zip(trials, folders, strict=True):
            _write(trial, folder)
        in_processes(_take_trials, Path(name), processes)
        ranks = range(processes)
        return [[_read(folder / _RESULT.format(rank)) for rank in ranks] for folder in folders]


def _take_trials(folder: Path) -> None:
    """What each of the processes does."""
    for number in range(len(list(folder.iterdir()))):
        outcome = take_steps(_read_trial(folder / str(number)))
        tensors = {f"gradients {name}": value for name, value in outcome.gradients.items()}
        tensors |= {f"state {name}": value for name, value in outcome.state.items()}
        tensors["losses"] = outcome.losses
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        save_file(contiguous, folder / str(number) / _RESULT.format(rank()))


def _write(trial: Trial, folder: Path) -> None:
    folder.mkdir()
    facts = {
        "method": trial.method.model_dump(mode="json"),
        "backbone": trial.backbone.model_dump(mode="json"),
        "vocabulary": trial.vocabulary,
        "num_images": trial.num_images,
        "accumulation": trial.accumulation,
        "rate": trial.rate,
        "seed": trial.seed,
    }
    tensors = {
        f"view {step} {number}": view.contiguous()
        for step, views in enumerate(trial.views)
        for number, view in enumerate(views)
    }
    tensors |= {f"ids {step}": ids.contiguous() for step, ids in enumerate(trial.sample_ids)}
    tensors |= {f"meta {key}": codes.contiguous() for key, codes in trial.meta.items()}
    save_file(tensors, folder / _INPUTS, {"trial": json.dumps(facts)})


def _read_trial(folder: Path) -> Trial:
    with safe_open(folder / _INPUTS, "pt") as file:
        facts = json.loads(file.metadata()["trial"])
    tensors = load_file(folder / _INPUTS)
    count = 1 + max(int(name.split()[1]) for name in tensors if name.startswith("view "))
    views = []
    for step in range(count):
        prefix = f"view {step} "
        numbers = sorted(int(n.removeprefix(prefix)) for n in tensors if n.startswith(prefix))
        views.append([tensors[f"{prefix}{number}"] for number in numbers])
    method, backbone = facts["method"], facts["backbone"]
    checked = config_model("method", method["name"]).model_validate(method)
    assert isinstance(checked, MethodConfig)
    return Trial(
        method=checked,
        backbone=config_model("backbone", backbone["name"]).model_validate(backbone),
        views=views,
        sample_ids=[tensors[f"ids {s}"] for s in range(count) if f"ids {s}" in tensors],
        meta={n.removeprefix("meta "): v for n, v in tensors.items() if n.startswith("meta ")},
        vocabulary={key: tuple(words) for key, words in facts["vocabulary"].items()},
        num_images=facts["num_images"],
        accumulation=facts["accumulation"],
        rate=facts["rate"],
        seed=facts["seed"],
    )


def _read(file: Path) -> Outcome:
    tensors = load_file(file)

    def named(group: str) -> dict[str, Tensor]:
        return {n.removeprefix(group): v for n, v in tensors.items() if n.startswith(group)}

    return Outcome(tensors["losses"], named("gradients "), named("state "))
