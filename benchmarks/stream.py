r"""Batches of an array that memory does not hold, beside the speed of the disk.

    python benchmarks/stream.py --gigabytes 4 --leave 2

Writes an array of random images into a file of its own, takes memory until only `--leave` gigabytes
are available, and gathers shuffled batches: by a plain index into the memory map, and as a run
does, with the next batch read ahead. The disk's own speed for as many bytes: one sequential read,
and one read for each image in the same order, by one thread and by sixteen. They take turns, each
from a file of which nothing is in memory. The last column is how long a batch is waited for where
a step takes `--step` seconds. The process that holds the memory is the first that the system ends
if memory runs out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssl_registry.data import streaming
from ssl_registry.data.batches import MappedBatches, StoredArray

GIGABYTE = 10**9
BLOCK = 2**23
Order = Sequence[NDArray[np.int64]]
COLUMNS = ("batches/s", "MB/s", "range", "waits ms")


def write_array(path: Path, size: int, gigabytes: float) -> int:
    """Write random colour images of side `size`; gives how many."""
    row = 3 * size * size
    count = int(gigabytes * GIGABYTE) // row
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, 3, size, size))
    header = array.offset
    del array
    rng = np.random.default_rng(0)
    with path.open("r+b") as file:
        file.seek(header)
        left = count * row
        while left:
            left -= file.write(rng.bytes(min(left, 8 * BLOCK)))
        file.flush()
        os.fsync(file.fileno())
    return count


def drop(path: Path) -> None:
    """Let nothing of a file be in memory; it must not be mapped."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


@contextlib.contextmanager
def memory_taken(leave: float | None) -> Iterator[None]:
    """Take memory until only `leave` gigabytes are available, in a process of its own."""
    if leave is None:
        yield
        return
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        Path("/proc/self/oom_score_adj").write_text("1000")
        taken = (streaming.available_memory() or 0) - int(leave * GIGABYTE)
        held = mmap.mmap(-1, taken, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        os.write(write, b"1")
        time.sleep(600)
        held.close()
        os._exit(0)
    os.close(write)
    try:
        if os.read(read, 1) != b"1":
            sys.exit("the memory could not be taken: more was needed elsewhere")
        yield
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            sys.exit("memory ran out and was given back in between: these figures do not count")
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def in_batches(path: Path, order: Order, ahead: bool, step: float) -> list[float]:
    """Seconds that each batch is waited for."""
    share, streaming.SHARE = streaming.SHARE, 0.0 if ahead else float("inf")  # type: ignore[misc]
    array = np.load(path, mmap_mode="r")
    batches = MappedBatches(StoredArray(array, np.arange(len(array))))
    streaming.SHARE = share  # type: ignore[misc]
    waits = []
    for number, indices in enumerate(order):
        began = time.perf_counter()
        if number + 1 < len(order):
            batches.prepare([order[number + 1]])
        batches.images(indices)
        waits.append(time.perf_counter() - began)
        time.sleep(step)
    return waits


def sequential(path: Path, order: Order, row: int) -> float:
    """Seconds of one read of as many bytes."""
    left = sum(map(len, order)) * row
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while left > 0:
            left -= len(file.read(min(left, BLOCK)))
    return time.perf_counter() - began


def singly(path: Path, order: Order, row: int, threads: int) -> float:
    """Seconds of one read for each image."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    places = [128 + int(place) * row for indices in order for place in indices]
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        size = -(-len(places) // threads)
        parts = [places[start : start + size] for start in range(0, len(places), size)]
        list(pool.map(lambda part: [len(os.pread(file, row, at)) for at in part], parts))
    seconds = time.perf_counter() - began
    os.close(file)
    return seconds


def measure(arguments: argparse.Namespace, path: Path, count: int) -> list[dict[str, Any]]:
    """All ways in turn; a row of the table for each."""
    row = 3 * arguments.size**2
    rng = np.random.default_rng(1)
    ways: dict[str, Callable[[Order], float]] = {
        "plain index": lambda order: sum(in_batches(path, order, False, 0)),
        "read ahead": lambda order: sum(in_batches(path, order, True, 0)),
        "disk, sequential": lambda order: sequential(path, order, row),
        "disk, 1 thread": lambda order: singly(path, order, row, 1),
        "disk, 16 threads": lambda order: singly(path, order, row, 16),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        order = orders(rng, count, arguments.batch, arguments.batches)
        for name, way in ways.items():
            drop(path)
            speeds[name].append(len(order) / way(order))
    rows = []
    for name, found in speeds.items():
        waits = None
        if name in ("plain index", "read ahead"):
            drop(path)
            order = orders(rng, count, arguments.batch, arguments.steps)
            of_each = in_batches(path, order, name == "read ahead", arguments.step)
            waits = statistics.median(of_each[1:])
        median = statistics.median(found)
        rows.append(
            {
                "way": name,
                "batches_per_second": median,
                "bytes_per_second": median * row * arguments.batch,
                "range": [min(found), max(found)],
                "wait_seconds": waits,
            }
        )
    return rows


def orders(rng: np.random.Generator, count: int, batch: int, batches: int) -> Order:
    """The batches of the beginning of a shuffled epoch."""
    return np.split(rng.permutation(count)[: batch * batches].astype(np.int64), batches)


def line(row: dict[str, Any]) -> str:
    """A line of the table."""
    waits = "-" if row["wait_seconds"] is None else f"{row['wait_seconds'] * 1e3:.1f}"
    cells = (
        f"{row['batches_per_second']:.1f}",
        f"{row['bytes_per_second'] / 1e6:.0f}",
        "{:.1f}-{:.1f}".format(*row["range"]),
        waits,
    )
    return f"{row['way']:18}" + " ".join(f"{cell:>12}" for cell in cells) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Batches of an array that memory does not hold.")
    parser.add_argument("--gigabytes", type=float, default=4, help="Size of the array.")
    parser.add_argument("--leave", type=float, help="Gigabytes of memory to leave available.")
    parser.add_argument("--folder", type=Path, help="Where the array is written.")
    parser.add_argument("--size", type=int, default=64, help="Side of the images, px.")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=100, help="Batches of a turn.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", type=float, default=0.1, help="Seconds of a step.")
    parser.add_argument("--steps", type=int, default=30, help="Steps that are waited in.")
    parser.add_argument("--json", type=Path, help="Where to keep the figures.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "images.npy"
        count = write_array(path, arguments.size, arguments.gigabytes)
        with memory_taken(arguments.leave):
            available = (streaming.available_memory() or 0) / GIGABYTE
            rows = measure(arguments, path, count)
    sys.stdout.write(f"{count} images, {available:.1f} GB of memory available\n")
    sys.stdout.write(" " * 18 + " ".join(f"{name:>12}" for name in COLUMNS) + "\n")
    sys.stdout.writelines(map(line, rows))
    if arguments.json:
        record = {"images": count, "available_bytes": available * GIGABYTE, "rows": rows}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
