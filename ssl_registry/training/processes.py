"""Several processes as one run: their start, their end, and what they agree upon.

A launcher such as torchrun starts W equal processes and tells each its place in the environment.
The first of them leads: it alone writes, and speaks for all.
"""

from __future__ import annotations

import gc
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist

from ssl_registry import errors
from ssl_registry.errors import DeviceError, TrainingError, UserError
from ssl_registry.nn.distributed import rank, world_size
from ssl_registry.progress import Track, track
from ssl_registry.training.launch import launched_processes

PATIENCE = timedelta(hours=12)
"""So long do processes wait for one that works; one that has died is noticed at once."""

_LOST = ("gloo/transport", "by peer", "Connection refused", "Broken pipe", "TCPStore")

Value = TypeVar("Value")


class FollowerExit(SystemExit):
    """Ends a process quietly, with status 0: the leading one says why the run ends."""

    def __init__(self) -> None:
        super().__init__(0)


class _Session:
    """What this process knows of the session.

    Attributes:
        together: Whether all processes are about to leave the session at the same point.
    """

    together = False


def leads() -> bool:
    """Whether this process is the one that writes and speaks; the only one does."""
    return rank() == 0


def local_rank() -> int:
    """Number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def session() -> Iterator[None]:
    """Within the block the launched processes know each other; one process has nothing to do.

    Blocks may be nested. All processes but the leading one are silent: their warnings are
    dropped.

    Raises:
        TrainingError: Another process has died.
    """
    if launched_processes() == 1 or dist.is_initialized():
        yield
        return
    _join()
    _Session.together = False
    try:
        with warnings.catch_warnings():
            if not leads():
                warnings.simplefilter("ignore")
            yield
    except (UserError, KeyboardInterrupt, SystemExit):
        if _Session.together:
            _leave()
        raise
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise TrainingError(
            f"process {dist.get_rank()} of {dist.get_world_size()} stopped, because another one "
            "has ended, killed or by an error of its own. Go on from the last checkpoint with "
            "--resume."
        ) from error
    else:
        _leave()


def _join() -> None:
    on_cuda = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_cuda else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{launched_processes()} processes were launched but do not find each other at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}: {error}"
        ) from error


def _leave() -> None:
    """End the session, all processes at once.

    What holds on to the group, such as a data-parallel wrapper in a cycle, is collected first.
    """
    gc.collect()
    try:
        dist.barrier()
    except RuntimeError as error:
        if not _is_loss(error):
            raise
    dist.destroy_process_group()


def _is_loss(error: RuntimeError) -> bool:
    """Whether an error came of a connection that another process no longer holds."""
    known = isinstance(error, dist.DistError)
    return known or any(word in str(error) for word in _LOST)


def exchange(text: str) -> list[str]:
    """The texts that all processes give here, in their order."""
    if world_size() == 1:
        return [text]
    data = torch.tensor(list(text.encode()), dtype=torch.uint8)
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor([len(data)]))
    longest = max(int(length) for length in lengths)
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: len(data)] = data
    parts = [torch.zeros_like(padded) for _ in lengths]
    if longest:
        dist.all_gather(parts, padded)
    return [
        bytes(part[: int(length)].tolist()).decode()
        for part, length in zip(parts, lengths, strict=True)
    ]


def of_leader(value: Any) -> Any:
    """The leading process's `value` (of JSON's types), in every process."""
    return json.loads(exchange(json.dumps(value) if leads() else "null")[0])


@contextmanager
def agreed() -> Iterator[None]:
    """All processes leave the block, or the run ends: a mistake that one meets is told to all.

    Raises:
        UserError: In the leading process, if one process met one.
        FollowerExit: In the others.
    """
    met: UserError | None = None
    try:
        yield
    except UserError as error:
        if world_size() == 1:
            raise
        met = error
    if world_size() == 1:
        return
    told = exchange("" if met is None else json.dumps([type(met).__name__, str(met)]))
    if not any(told):
        return
    first = next(number for number, text in enumerate(told) if text)
    name, message = json.loads(told[first])
    if first:
        message = f"{message} (in process {first} of {len(told)})"
    kind = getattr(errors, name, UserError)
    raise_together(met if first == 0 and met is not None else kind(message))


def raise_together(error: BaseException) -> NoReturn:
    """End the run in all processes, which are all here: with `error` in the leading one.

    Raises:
        FollowerExit: In the others.
    """
    _Session.together = True
    if leads():
        raise error
    raise FollowerExit


def any_process(flag: bool) -> bool:
    """Whether `flag` holds in some process."""
    return any(exchange("x" if flag else "")) if world_size() > 1 else flag


@contextmanager
def leader_track(title: str, total: int, done: int) -> Iterator[Track]:
    """The progress of `total` steps, `done` of them already, shown by the leading process."""
    if leads():
        with track(title, total, done=done, unit="step") as bar:
            yield bar
    else:
        yield _Unseen()


class _Unseen(Track):
    def advance(self, amount: int = 1, note: str = "") -> None:
        return


def one_after_another(load: Callable[[], Value]) -> Value:
    """What `load` gives, called by one process of each machine before the others of it.

    What the first one caches the others find; and only it shows progress.

    Raises:
        UserError: It raised one in some process; see `agreed`.
    """
    loaded: list[Value] = []
    for turn in (True, False):
        with agreed():
            if turn == (local_rank() == 0 or world_size() == 1) and not loaded:
                loaded.append(load())
    return loaded[0]


def own_device(name: str) -> str:
    """The device of this process, where the run's is called `name`.

    Raises:
        DeviceError: There are fewer GPUs than processes on this machine, or the processes would
            share one.
    """
    if world_size() == 1 or name == "cpu":
        return name
    if name not in ("auto", "cuda"):
        raise DeviceError(
            f"training.device = {name!r} cannot serve {world_size()} processes; set it to auto, "
            "cuda or cpu"
        )
    if not torch.cuda.is_available():
        return "cpu" if name == "auto" else name
    present = torch.cuda.device_count()
    if local_rank() >= present:
        raise DeviceError(
            f"this machine has {present} GPUs, too few for its process {local_rank() + 1}; "
            "launch as many processes as there are GPUs, or set training.device to cpu"
        )
    torch.cuda.set_device(local_rank())
    return f"cuda:{local_rank()}"
