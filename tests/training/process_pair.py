"""Some work in several real processes, joined by gloo on CPUs as a launcher would join them.

The processes are forked from a server that has imported torch once. They import the work's module
by its name, so this folder must be in `sys.path`.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ssl_registry.training.processes import session

PATIENCE_SECONDS = 120


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that within the block is free for who asks for its number, and given to nobody else.

    Linux lets sockets that allow it, as torch's store does, share a port on which one listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        yield port


def in_processes(work: Callable[[Path], None], folder: Path, processes: int = 2) -> None:
    """Let several new processes do the same work, which reads and writes files in `folder`.

    Raises:
        ChildProcessError: One of them failed.
    """
    multi = multiprocessing.get_context("forkserver")
    multi.set_forkserver_preload([work.__module__, "kornia", "timm"])
    with reserved_port() as port:
        started = [
            multi.Process(target=_live, args=(work, folder, number, processes, port), daemon=True)
            for number in range(processes)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(PATIENCE_SECONDS)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()  # the other of one that failed
    if any(code != 0 for code in codes):
        raise ChildProcessError(f"processes ended with status {codes}")


def _live(
    work: Callable[[Path], None], folder: Path, number: int, processes: int, port: int
) -> None:
    """The whole life of one process."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(number),
        LOCAL_RANK=str(number),
        WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    with session():
        work(folder)
