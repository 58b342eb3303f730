"""What a launcher such as torchrun has told this process; asked before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ssl_registry.errors import ConfigError

_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def launched_processes() -> int:
    """How many processes the launcher has started for this run; 1 without a launcher."""
    if not all(os.environ.get(name) for name in _LAUNCHED):
        return 1
    return int(os.environ["WORLD_SIZE"])


def launched_first() -> bool:
    """Whether this is the first of the launched processes, or the only one."""
    return launched_processes() == 1 or os.environ["RANK"] == "0"


@contextmanager
def launched_session() -> Iterator[None]:
    """Within the block the launched processes know each other; see `processes.session`."""
    if launched_processes() == 1:
        yield
        return
    from ssl_registry.training.processes import session

    with session():
        yield


@contextmanager
def launched_agreement() -> Iterator[None]:
    """A mistake that one process of the session meets ends all; see `processes.agreed`."""
    if launched_processes() == 1:
        yield
        return
    from ssl_registry.training.processes import agreed

    with agreed():
        yield


def refuse_several(what: str) -> None:
    """End the launched processes of something that runs in one.

    Raises:
        ConfigError: In the first of several processes; the others end quietly.
    """
    if launched_processes() == 1:
        return
    if launched_first():
        raise ConfigError(
            f"{what} runs in one process, but {launched_processes()} were launched; start it "
            "without torchrun"
        )
    raise SystemExit(0)
