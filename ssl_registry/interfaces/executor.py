"""The contract of executors: they carry out pieces of work in processes of their own."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """One piece of work.

    Attributes:
        id: Names it among the work that an executor has.
        call: `"package.module:function"`, called with `payload` in a worker process.
        payload: What JSON can hold.
    """

    id: str
    call: str
    payload: Mapping[str, Any]

    def perform(self) -> Any:
        """Call the function, here; gives what it gives, which JSON can hold."""
        module, _, name = self.call.partition(":")
        function: Callable[[Mapping[str, Any]], Any] = getattr(
            importlib.import_module(module), name
        )
        return function(self.payload)


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended.

    Attributes:
        id: Of the work.
        result: What its function gave; None if it was lost.
        lost: Why there is no result, such as the signal that ended its worker; "" if there is one.
        trace: Where in the code its function raised, if it did.
    """

    id: str
    result: Any = None
    lost: str = ""
    trace: str = ""


class Executor(ABC):
    """Carries out work in worker processes, each of which takes many pieces one after another.

    A worker that dies loses the one piece it had, and is replaced; so is one whose piece raised,
    since nobody knows what it left behind. Nothing is tried again here: that is for whoever
    submits. When the process that holds the executor ends, however it ends, its
    workers end too.

    A plugin's executor is built with the keywords `config` (its own settings) and `logs` (a folder
    for what workers print).
    """

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many pieces are carried out at the same time."""

    @abstractmethod
    def submit(self, work: Work) -> None:
        """Take a piece of work; called for at most `capacity` at a time."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes since the last call; waits for one, but not longer than `seconds`.

        Raises:
            RunError: No worker can be started.
        """

    @abstractmethod
    def close(self, *, patience: float = 0.0) -> None:
        """End all workers: ask them to stop, and after `patience` seconds make them."""
