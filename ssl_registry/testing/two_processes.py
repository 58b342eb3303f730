"""Whether a method trains in two processes as it does in one, on CPUs.

In float64, unless the method needs fp32, where differences of rounding are allowed for. Dropout is
turned off. A method that draws otherwise, such as masks for each image, may draw others in two
processes than in one: then what they come to may differ by about as much as other draws make it
differ in one process, and no more.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd

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
_NEAR = {torch.float64: 1e-4, torch.float32: 1e-2}
"""Relative: the method may compute its loss in fp32; comparing with too few images is far off."""
_NOISE = {torch.float64: 1e-5, torch.float32: 1e-4}
"""In parts of the largest: a bias before normalisation has a gradient of 0 but for rounding."""
_DRAWS = 10
"""How often one process draws, to see what a tensor's values owe to what is drawn."""
_DRAWN_APART = 3.0
"""How far two processes may be from one, in parts of the range of those draws.

With half the draws, a method that is right fails in one case of fifty: of a tensor with one element
they may all be alike.
"""


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
    one, dtype = _alone(bench)
    first, second = take_steps_in_processes(bench.found, dtype)
    _require_alike(second, first, dtype, "not the same in both")
    try:
        _require_alike(first, one, dtype, "another than in one")
    except CheckFailure:
        seeds = [PROCESSES * STEPS * number for number in range(1, _DRAWS)]
        drawn = [one, *(take_steps(bench, dtype, seed=seed) for seed in seeds)]
        _require_alike(first, one, dtype, "another than in one", drawn)


def _alone(bench: MethodBench) -> tuple[Outcome, torch.dtype]:
    """What one process comes to, in float64 if the method can, and the precision."""
    try:
        return take_steps(bench, torch.float64), torch.float64
    except RuntimeError:  # it has said .float() to what a layer of its takes
        return take_steps(bench, torch.float32), torch.float32


def _require_alike(
    got: Outcome, wanted: Outcome, dtype: torch.dtype, how: str, drawn: Sequence[Outcome] = ()
) -> None:
    """Fail unless two outcomes are equal, but for rounding and for what `drawn` differ in."""
    for what, ours, theirs, others in (
        ("the gradient of", got.gradients, wanted.gradients, [one.gradients for one in drawn]),
        ("after two steps the state of", got.state, wanted.state, [one.state for one in drawn]),
    ):
        largest = max((float(t.abs().max()) for t in theirs.values() if t.numel()), default=0.0)
        noise = _NOISE[dtype] * largest
        far = [
            name
            for name in ours.keys() | theirs.keys()
            if name not in ours
            or name not in theirs
            or not _near(
                ours[name],
                theirs[name],
                _NEAR[dtype],
                noise + _DRAWN_APART * _range([one[name] for one in others if name in one]),
            )
        ]
        names = sorted({name.partition(" ")[2] or name for name in far})
        require(not far, f"in two processes {what} {listed(names)} is {how}")


def _near(one: Tensor, other: Tensor, share: float, noise: float) -> bool:
    scale = float(other.abs().max()) if other.numel() else 0.0
    return torch.allclose(one.double(), other.double(), rtol=share, atol=share * scale + noise)


def _range(drawn: Sequence[Tensor]) -> float:
    """By how much an element of a tensor varies from draw to draw at most."""
    if not drawn or not drawn[0].numel():
        return 0.0
    values = torch.stack([one.double() for one in drawn])
    return float((values.amax(dim=0) - values.amin(dim=0)).max())


def take_steps(bench: MethodBench, dtype: torch.dtype, *, seed: int = 0) -> Outcome:
    """Take some steps of plain gradient descent with the other processes, if there are any.

    Args:
        bench: The method.
        dtype: Of its parameters and images.
        seed: Of what it draws, with the step and the process.
    """
    method = bench.build(count=COUNT // world_size(), world_size=world_size()).to(dtype)
    for layer in method.modules():
        if isinstance(layer, _DropoutNd):
            layer.p = 0.0
    forward: torch.nn.Module = method
    if world_size() > 1:
        normalize_over_processes(method)
        forward = wrap(method, unused=False)
    statistics = LocalRunningStatistics(method)
    gradients: dict[str, Tensor] = {}
    for step in range(STEPS):
        batch = _own(bench.batch(count=COUNT, seed=step), dtype)
        torch.manual_seed(seed + PROCESSES * step + rank())
        method.zero_grad(set_to_none=True)
        method.before_step(step)
        forward(batch).loss.backward()
        gradients |= _descend(method, step)
        statistics.average()
        method.after_step(step, True)
    return Outcome(gradients, {name: t.clone() for name, t in method.state_dict().items()})


def _own(batch: PretrainBatch, dtype: torch.dtype) -> PretrainBatch:
    """This process's images of a batch."""

    def own(tensor: Tensor) -> Tensor:
        return own_rows(tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def rows(tensors: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
        return None if tensors is None else tuple(own(tensor) for tensor in tensors)

    views = batch.views
    source = None if views.source is None else own(views.source)
    return PretrainBatch(
        Views(rows(views.images) or (), source, rows(views.transforms), rows(views.masks)),
        own_rows(batch.sample_id),
        {key: own_rows(codes) for key, codes in batch.meta.items()},
    )


@torch.no_grad()
def _descend(method: Method, step: int) -> dict[str, Tensor]:
    """Move the parameters against their gradients, which are given by step and name."""
    gradients = {}
    for name, parameter in method.named_parameters():
        if parameter.grad is not None:
            gradients[f"{step} {name}"] = parameter.grad.clone()
            parameter.sub_(parameter.grad, alpha=_RATE)
    return gradients


def take_steps_in_processes(found: Found, dtype: torch.dtype) -> list[Outcome]:
    """Take the same steps in two new processes that share each batch.

    They are forked from a server that has imported torch once.

    Raises:
        CheckFailure: A process failed, or did not end in time.
    """
    multi = multiprocessing.get_context("forkserver")
    # Without timm, each process would import for itself what DistributedDataParallel needs.
    multi.set_forkserver_preload([__name__, "kornia", "timm"])
    # What calls the plugin's hooks cannot be sent, and is not needed there.
    sent = Found(found.component, replace(found.plugin, manager=None))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = [
            multi.Process(target=_work, args=(sent, dtype, folder, number), daemon=True)
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


def _work(found: Found, dtype: torch.dtype, folder: Path, number: int) -> None:
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
        outcome = take_steps(MethodBench(found), dtype)
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
