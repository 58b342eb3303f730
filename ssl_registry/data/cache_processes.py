"""Processes that decode samples for a cache, each started by a command and not forked.

So a user's script is not run again (as by `spawn`), and torch's threads are not torn (as by
`fork`). They import what the dataset's module does, and no torch of ours. Pixels come back in
memory that all share. What a process cannot do, this one does: so an error is the dataset's own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

from ssl_registry.data.cache_process import Process, pack
from ssl_registry.data.cache_rows import CacheSettings, Rows, decode_rows, row_shapes
from ssl_registry.data.cache_slots import Slots, new_slots, task_size
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Sample

AHEAD = 2
"""Tasks that a process has: one at work, and one so that it need not wait for the next."""
SLOTS = 4
"""Tasks per process whose rows may be under way, or wait for those of earlier ones."""


class DecodingProcesses:
    """Several processes that read samples of one dataset."""

    def __init__(
        self,
        dataset: Dataset,
        settings: CacheSettings,
        processes: Sequence[Process],
        slots: Slots,
        stack: ExitStack,
    ) -> None:
        self._dataset, self._settings = dataset, settings
        self._processes, self._slots, self._stack = processes, slots, stack
        self._free = list(range(slots.count))
        self._slot_of: dict[int, int] = {}
        self._finished: dict[int, Rows] = {}

    @classmethod
    def start(cls, dataset: Dataset, settings: CacheSettings, count: int) -> Self | None:
        """Start `count` processes; None where that cannot be done.

        So it is with a dataset that cannot be pickled, or that another process cannot import,
        such as one of a script or notebook.
        """
        if sys.platform == "win32" or not sys.executable or getattr(sys, "frozen", False):
            return None
        with ExitStack() as stack:
            shapes = row_shapes(dataset, settings)
            slots = stack.enter_context(new_slots(shapes, task_size(shapes), SLOTS * count))
            processes = [stack.enter_context(Process(slots)) for _ in range(count)]
            try:
                for process in processes:
                    process.introduce(dataset, settings)
                for process in processes:
                    process.connection.recv_bytes()
            except Exception:  # what pickling raises is the dataset's own affair
                return None
            return cls(dataset, settings, processes, slots, stack.pop_all())
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def read(self, samples: Sequence[Sample]) -> Iterator[Rows]:
        """The rows of all samples in order, each to be used before the next.

        Raises:
            DataError: A process was killed; names the images that it was reading.
        """
        size = self._slots.rows
        tasks = [samples[start : start + size] for start in range(0, len(samples), size)]
        given = told = 0
        while told < len(tasks):
            while given < len(tasks) and self._free:
                process = min(self._processes, key=lambda each: len(each.tasks))
                if len(process.tasks) == AHEAD:
                    break
                self._give(process, given, tasks[given])
                given += 1
            if told in self._finished:
                yield self._finished.pop(told)
                self._free.append(self._slot_of.pop(told))
                told += 1
                continue
            busy = {each.connection: each for each in self._processes if each.tasks}
            for connection in wait(list(busy)):
                self._receive(busy[connection], tasks)  # type: ignore[index]

    def _give(self, process: Process, number: int, task: Sequence[Sample]) -> None:
        slot = self._slot_of[number] = self._free.pop()
        try:
            process.connection.send((slot, pack(task)))
        except OSError:
            process.tasks.append(number)  # it has ended, which is told where its rows are awaited
        except Exception:  # samples of the dataset's own kind that cannot be pickled
            self._finished[number] = self._decode(number, task)
        else:
            process.tasks.append(number)

    def _receive(self, process: Process, tasks: Sequence[Sequence[Sample]]) -> None:
        number = process.tasks.popleft()
        task = tasks[number]
        try:
            reasons = process.connection.recv()
        except (EOFError, OSError) as error:
            raise DataError(self._ended(process, task)) from error
        if reasons is None:
            self._finished[number] = self._decode(number, task)
        else:
            arrays = self._slots.arrays(self._slot_of[number], len(task))
            self._finished[number] = Rows(arrays, reasons)

    def _decode(self, number: int, task: Sequence[Sample]) -> Rows:
        """Read a task in this process, which raises what the dataset raises."""
        arrays = self._slots.arrays(self._slot_of[number], len(task))
        return decode_rows(self._dataset, task, self._settings, arrays)

    def _ended(self, process: Process, task: Sequence[Sample]) -> str:
        return (
            f"a process that read images of {self._dataset.config.name!r} {process.end()} at one "
            f"of {task[0].id!r} to {task[-1].id!r}; memory may have run out, or a library that "
            "decodes them crashed. Free some memory and call again"
        )
