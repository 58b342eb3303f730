"""Who reads the rows of a decode cache: this thread, several threads, or several processes.

Threads are at hand at once, and share the work where decoding lets go of Python's lock: large
PNGs, NIfTI, video. Tiny pictures hold the lock for most of their time, and threads get in each
other's way; processes do not, but take a quarter of a second to start. Which it is cannot be
known beforehand, so it is measured on the first samples. The rows are the same either way.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ssl_registry.data.cache_processes import DecodingProcesses
from ssl_registry.data.cache_rows import CacheSettings, Rows, decode_rows, new_rows, row_shapes
from ssl_registry.errors import UnreadableError
from ssl_registry.interfaces.dataset import Dataset, Sample

WAITING_BYTES = 2**28
"""At most about so many bytes of finished rows wait to be written."""
WAITING_TASKS = 64
"""At most so many tasks are under way or wait to be written."""
TASK = 8
"""Samples that are read at a time; handing them over one by one costs a few per cent."""
GLANCE_SECONDS = 0.02
"""So long one thread reads, to see what a sample costs."""
TRIAL_SECONDS = 0.25
"""So long several threads read, to see how many cores they keep busy."""
BUSY_ENOUGH = 0.75
"""Share of the cores that threads have to keep busy to go on."""
START_SECONDS = 0.3
"""What it costs a core to start a process."""
WORTH = 4
"""Processes are started if they save so many times what one costs to start."""
DEARER = 1.5
"""Threads that need so many times what one alone needs for an image wait for each other."""


def read_rows(
    dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> Generator[Rows, None, None]:
    """The rows of all samples in order, a few at a time, each to be used before the next.

    Raises:
        UnreadableError: A sample cannot be used, and the dataset's config does not skip such;
            names the file.
        DataError: A process that was reading was killed.
        PluginError: The dataset gives images or masks that are not as its contract says.
    """
    reader = _Reader(dataset, samples, settings)
    for rows in reader.read():
        if rows.reasons and not dataset.config.skip_unreadable:
            raise UnreadableError(
                f"{next(iter(rows.reasons.values()))}\nMend or remove the file, or leave such "
                f"images out with skip_unreadable = true for the dataset {dataset.config.name!r}."
            )
        yield rows


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Reader:
    """Reads a list of samples to its end, by whoever is quickest."""

    def __init__(
        self, dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
    ) -> None:
        self._dataset, self._samples, self._settings = dataset, samples, settings
        self._cores = usable_cores()
        self._next = 0
        self._seconds = math.inf  # of one core for a sample, at the quickest
        self._crowded = False
        self._count = 0  # of processes

    def read(self) -> Iterator[Rows]:
        """All rows in order."""
        yield from self._alone(glance=True)
        if self._cores > 1 and self._left() > START_SECONDS:
            yield from self._by_threads()
        if self._next == len(self._samples):
            return
        count = self._count
        processes = count and DecodingProcesses.start(self._dataset, self._settings, count)
        if processes:
            with processes:
                yield from processes.read(self._samples[self._next :])
        else:
            yield from self._alone()

    def _left(self) -> float:
        """Seconds of one core that all that is left will take."""
        return self._seconds * (len(self._samples) - self._next)

    def _judge(self, spent: float, passed: float, images: int) -> None:
        """Whether to go on by threads, from the seconds of all cores and the images so far."""
        if spent >= BUSY_ENOUGH * self._cores * passed:
            return
        saved = self._left() * (1 - 1 / self._cores)
        if saved > WORTH * START_SECONDS:
            self._count = min(self._cores, math.ceil(self._left() / START_SECONDS))
        # Else the cores may be at other work; or threads wait for each other, which costs time.
        self._crowded = self._count > 0 or spent > DEARER * self._seconds * images

    def _decode(self, start: int) -> tuple[Rows, float]:
        """A few rows, and the seconds of a core that they took."""
        began = time.thread_time()
        samples = self._samples[start : start + TASK]
        arrays = new_rows(self._dataset, len(samples), self._settings)
        rows = decode_rows(self._dataset, samples, self._settings, arrays)
        return rows, time.thread_time() - began

    def _take(self) -> int:
        """Where the next task starts."""
        start = self._next
        self._next = min(start + TASK, len(self._samples))
        return start

    def _alone(self, *, glance: bool = False) -> Iterator[Rows]:
        """Read in this thread: to the end, or only for a glance at what a sample costs."""
        spent, tasks = 0.0, 0
        while self._next < len(self._samples):
            if glance and tasks >= 2 and spent >= GLANCE_SECONDS:
                return
            rows, seconds = self._decode(self._take())
            spent, tasks = spent + seconds, tasks + 1
            self._seconds = min(self._seconds, seconds / len(rows))
            yield rows

    def _by_threads(self) -> Iterator[Rows]:
        """Read in several threads: to the end, unless they get in each other's way."""
        shapes = row_shapes(self._dataset, self._settings).values()
        task_bytes = TASK * sum(math.prod(shape) for shape in shapes)
        limit = max(1, min(WAITING_TASKS, WAITING_BYTES // task_bytes))
        waiting: deque[Future[tuple[Rows, float]]] = deque()
        pool = ThreadPoolExecutor(max_workers=self._cores)
        began, spent, images, judged = time.perf_counter(), 0.0, 0, False
        try:
            while waiting or (self._next < len(self._samples) and not self._crowded):
                while (
                    len(waiting) < limit and self._next < len(self._samples) and not self._crowded
                ):
                    waiting.append(pool.submit(self._decode, self._take()))
                rows, seconds = waiting.popleft().result()
                yield rows
                spent, images = spent + seconds, images + len(rows)
                passed = time.perf_counter() - began
                if not judged and passed > TRIAL_SECONDS:
                    judged = True
                    self._judge(spent, passed, images)
        finally:
            # What has not begun is dropped, so that an error is told at once.
            pool.shutdown(cancel_futures=True)
