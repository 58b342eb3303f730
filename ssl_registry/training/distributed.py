"""What a step of several processes adds to that of one: gradients, numbers and state are one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.distributed import average, gather, rank, world_size
from ssl_registry.nn.whole_batch_norm import local_norms
from ssl_registry.training.checkpoint import Checkpoint
from ssl_registry.training.processes import of_leader


def images_per_forward(batch_size: int, accumulation: int = 1) -> int:
    """Images that a process shows its network at a time.

    Args:
        batch_size: Images of a step, over all processes.
        accumulation: Parts in which each process takes them.

    Raises:
        ConfigError: They cannot be dealt out evenly.
    """
    hands = world_size() * accumulation
    if batch_size % hands:
        parts = [f"{world_size()} processes"] if world_size() > 1 else []
        parts += [f"training.accumulation = {accumulation}"] if accumulation > 1 else []
        near = max(batch_size // hands, 1) * hands
        raise ConfigError(
            f"training.batch_size = {batch_size} cannot be divided evenly over "
            f"{' and '.join(parts)}; set it to a multiple of {hands}, such as {near}"
        )
    return batch_size // hands


def dealt(batch: Any, accumulation: int = 1) -> list[Any]:
    """This process's share of a step's batch, in its micro-batches.

    Of W processes process r has every W-th entry from r on, so that entries which are normalised
    or compared in groups mix all over the batch, whatever W is.

    Args:
        batch: An array of the whole run's batch.
        accumulation: Number of micro-batches.
    """
    own = batch[rank() :: world_size()]
    size = len(own) // accumulation
    return [own[start : start + size] for start in range(0, size * accumulation, size)]


def wrap(module: nn.Module, unused: bool) -> DistributedDataParallel:
    """The module that averages gradients over processes.

    Buffers are not broadcast before each forward: queues and running statistics are made the
    same in all processes by those who write them, and a broadcast in mid-step would change what
    autograd has saved.

    Args:
        module: The method; its parameters and buffers become those of the first process.
        unused: Whether a step may leave parameters out, which then is looked for in each step.
    """
    for buffer in module.buffers():
        dist.broadcast(buffer, src=0)
    # Later versions of torch have the new name and warn of the old one.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False, "find_unused_parameters": unused}
    return DistributedDataParallel(module, **options)


def leaves_out(module: nn.Module, loss: Tensor) -> bool:
    """Whether `loss` does not depend on some parameter that is trained."""
    wanted = {id(p) for p in module.parameters() if p.requires_grad}
    stack, seen = [loss.grad_fn], set()
    while stack and wanted:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        wanted.discard(id(getattr(node, "variable", None)))
        stack += [function for function, _ in node.next_functions]
    return bool(wanted)


def without_exchange(wrapped: nn.Module | None, last: bool) -> AbstractContextManager[object]:
    """Context of a micro-batch: gradients are exchanged with the last one only."""
    if last or not isinstance(wrapped, DistributedDataParallel):
        return nullcontext()
    return wrapped.no_sync()


def joined(outputs: Sequence[StepOutput]) -> StepOutput:
    """What micro-batches gave, as one step without gradient: means, and all embeddings."""
    if len(outputs) == 1:
        return replace(outputs[0], loss=outputs[0].loss.detach())
    names = {name for output in outputs for name in output.scalars}
    given = {name: [o.scalars[name] for o in outputs if name in o.scalars] for name in names}
    embeddings = [output.embeddings for output in outputs if output.embeddings is not None]
    return StepOutput(
        loss=torch.stack([output.loss.detach() for output in outputs]).mean(),
        scalars={name: torch.stack(values).mean() for name, values in given.items()},
        embeddings=torch.cat(embeddings) if embeddings else None,
    )


def over_processes(output: StepOutput, stopping: bool) -> tuple[StepOutput, Tensor]:
    """The same step for the whole batch: means of the loss and scalars, and all embeddings.

    Args:
        output: What this process's images gave.
        stopping: Whether this process was asked to stop.

    Returns:
        The step, and the share of the processes that were asked to stop.
    """
    if world_size() == 1:
        return output, torch.full((), float(stopping))
    names = sorted(output.scalars)
    values = [output.loss, *(output.scalars[name] for name in names)]
    own = [value.detach().double().reshape(()).to(output.loss.device) for value in values]
    own.append(torch.full((), float(stopping), dtype=torch.float64, device=output.loss.device))
    loss, *scalars, stop = average(torch.stack(own)).unbind()
    embeddings = None if output.embeddings is None else gather(output.embeddings.detach())
    return StepOutput(loss, dict(zip(names, scalars, strict=True)), embeddings), stop


class LocalRunningStatistics:
    """Averages the running statistics of layers whose batch statistics stay in each process.

    They move by the mean over the parts of a batch, as those of one process that has all parts.
    """

    def __init__(self, module: nn.Module) -> None:
        found = [
            buffer
            for layer in local_norms(module)
            for buffer in (layer.running_mean, layer.running_var)
            if buffer is not None
        ]
        self._buffers = found if world_size() > 1 else []

    @torch.no_grad()
    def average(self) -> None:
        """Make the statistics the mean over the processes."""
        if not self._buffers:
            return
        flat = average(torch.cat([buffer.reshape(-1) for buffer in self._buffers]))
        sizes = [buffer.numel() for buffer in self._buffers]
        for buffer, values in zip(self._buffers, torch.split(flat, sizes), strict=True):
            buffer.copy_(values)


def checkpoint_of_leader(checkpoint: Checkpoint | None) -> Checkpoint | None:
    """The checkpoint that the leading process has read, in every process."""
    if world_size() == 1:
        return checkpoint
    described = None if checkpoint is None else [_layout(checkpoint.tensors), checkpoint.state]
    told = of_leader(described)
    if told is None:
        return None
    layout, state = told
    tensors: dict[str, dict[str, Tensor]] = {}
    for group, entries in layout.items():
        tensors[group] = {}
        for name, (shape, dtype) in entries.items():
            if checkpoint is not None and rank() == 0:
                tensor = checkpoint.tensors[group][name].contiguous()
            else:
                tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            dist.broadcast(tensor, src=0)
            tensors[group][name] = tensor
    return Checkpoint(tensors, state)


def _layout(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Any]]:
    return {
        group: {
            name: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in named.items()
        }
        for group, named in tensors.items()
    }
