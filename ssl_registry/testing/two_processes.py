"""Whether a method trains in two processes as it does in one, on CPUs and in float64."""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor

from ssl_registry.interfaces.augmentation import Views
from ssl_registry.interfaces.method import Method, PretrainBatch
from ssl_registry.nn.distributed import own_rows, rank, world_size
from ssl_registry.nn.whole_batch_norm import normalize_over_processes
from ssl_registry.registry import Found
from ssl_registry.testing.check import CheckFailure, listed, require
from ssl_registry.testing.method_bench import MethodBench
from ssl_registry.training.distributed import LocalRunningStatistics, wrap
from ssl_registry.weights.tensors import save_tensors

PROCESSES, COUNT, STEPS = 2, 8, 2
PATIENCE_SECONDS = 90
_RATE = 0.1
_NEAR = 1e-4
"""Relative: the method may compute its loss in fp32; comparing with too few images is far off."""


@dataclass(frozen=True)
class Outcome:
    """What some steps left in one process.

    Attributes:
        gradients: By step and parameter name; without those that got none.
        state: The method's state after the last step.
    """

    gradients: Mapping[str, Tensor]
    state: Mapping[str, Tensor]


def require_same_training(bench: MethodBench) -> None:
    """Fail unless two processes have the gradients and the state of one with the whole batch."""
    one = take_steps(bench)
    for outcome in take_steps_in_processes(bench.found):
        _require_alike(outcome.gradients, one.gradients, "the gradient of")
        _require_alike(outcome.state, one.state, "after two steps the state of")


def _require_alike(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> None:
    far = [
        name
        for name in got.keys() | wanted.keys()
        if name not in got or name not in wanted or not _near(got[name], wanted[name])
    ]
    names = sorted({name.partition(" ")[2] or name for name in far})
    require(not far, f"in two processes {what} {listed(names)} is another than in one")


def _near(one: Tensor, other: Tensor) -> bool:
    scale = float(other.abs().max()) if other.numel() else 0.0
    return torch.allclose(one.double(), other.double(), rtol=_NEAR, atol=_NEAR * scale + 1e-9)


def take_steps(bench: MethodBench) -> Outcome:
    """Take some steps of plain gradient descent with the other processes, if there are any."""
    method = bench.build(count=COUNT // world_size(), world_size=world_size()).double()
    forward: torch.nn.Module = method
    if world_size() > 1:
        normalize_over_processes(method)
        forward = wrap(method, unused=False)
    statistics = LocalRunningStatistics(method)
    gradients: dict[str, Tensor] = {}
    for step in range(STEPS):
        batch = _own(bench.batch(count=COUNT, seed=step))
        torch.manual_seed(PROCESSES * step + rank())
        method.zero_grad(set_to_none=True)
        method.before_step(step)
        forward(batch).loss.backward()
        gradients |= _descend(method, step)
        statistics.average()
        method.after_step(step, True)
    return Outcome(gradients, {name: t.clone() for name, t in method.state_dict().items()})


def _own(batch: PretrainBatch) -> PretrainBatch:
    """This process's images of a batch, in float64."""

    def rows(tensors: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        return None if tensors is None else tuple(_double(own_rows(tensor)) for tensor in tensors)

    views = batch.views
    source = None if views.source is None else _double(own_rows(views.source))
    return PretrainBatch(
        Views(rows(views.images) or (), source, rows(views.transforms), rows(views.masks)),
        own_rows(batch.sample_id),
        {key: own_rows(codes) for key, codes in batch.meta.items()},
    )


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


@torch.no_grad()
def _descend(method: Method, step: int) -> dict[str, Tensor]:
    """Move the parameters against their gradients, which are given by step and name."""
    gradients = {}
    for name, parameter in method.named_parameters():
        if parameter.grad is not None:
            gradients[f"{step} {name}"] = parameter.grad.clone()
            parameter.sub_(parameter.grad, alpha=_RATE)
    return gradients


def take_steps_in_processes(found: Found) -> list[Outcome]:
    """Take the same steps in two new processes that share each batch.

    They are forked from a server that has imported torch once.

    Raises:
        CheckFailure: A process failed, or did not end in time.
    """
    multi = multiprocessing.get_context("forkserver")
    multi.set_forkserver_preload([__name__, "kornia", "timm"])
    # What calls the plugin's hooks cannot be sent, and is not needed there.
    sent = Found(found.component, replace(found.plugin, manager=None))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = [
            multi.Process(target=_work, args=(sent, folder, number), daemon=True)
            for number in range(PROCESSES)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(PATIENCE_SECONDS)
        codes = [process.exitcode for process in started]
        for process in started:
            process.kill()
        if any(code != 0 for code in codes):
            raise CheckFailure(f"in two processes {_told(folder)}")
        return [_read(folder / f"{number}.safetensors") for number in range(PROCESSES)]


def _told(folder: Path) -> str:
    """What went wrong first."""
    errors = sorted(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime)
    if not errors:
        return "it did not come to an end: each must gather equally often, in the same order"
    return f"it raised {errors[0].read_text(encoding='utf-8')}"


def _work(found: Found, folder: Path, number: int) -> None:
    """The whole life of one process."""
    torch.set_num_threads(1)
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{folder / 'meeting'}",
            rank=number,
            world_size=PROCESSES,
            timeout=timedelta(seconds=PATIENCE_SECONDS),
        )
        outcome = take_steps(MethodBench(found))
        tensors = {f"gradients {name}": value for name, value in outcome.gradients.items()}
        tensors |= {f"state {name}": value for name, value in outcome.state.items()}
        save_tensors(folder / f"{number}.safetensors", tensors)
        dist.barrier()
    except Exception as error:
        told = "".join(traceback.format_exception_only(error)).strip()
        (folder / f"{number}.txt").write_text(told, encoding="utf-8")
        raise SystemExit(1) from None


def _read(file: Path) -> Outcome:
    tensors = load_file(file)

    def named(group: str) -> dict[str, Tensor]:
        return {n.removeprefix(group): v for n, v in tensors.items() if n.startswith(group)}

    return Outcome(named("gradients "), named("state "))
