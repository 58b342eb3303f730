"""What a process that decodes samples for a cache does; see `cache_processes`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageFile

from ssl_registry.data.cache_process import unpack
from ssl_registry.data.cache_rows import CacheSettings, decode_rows
from ssl_registry.data.cache_slots import Slots, taken_slots
from ssl_registry.interfaces.dataset import Dataset

Tasks = SimpleQueue[tuple[int, Sequence[Any]] | None]
"""Slots and packed samples; None at the end."""


def main(connection_file: int, slots_file: int) -> None:
    """Decode what comes over a connection until that is closed.

    Args:
        connection_file: File descriptor of the connection.
        slots_file: That of the shared memory.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    connection = Connection(connection_file)
    try:
        limits, shapes, rows, count = connection.recv()
        PillowImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = limits
        slots = taken_slots(slots_file, shapes, rows, count)
        dataset, settings = connection.recv()
    except Exception:  # a dataset that only the other process knows; it sees this one end
        return
    connection.send_bytes(b"ready")
    tasks: Tasks = SimpleQueue()
    # Always listening: two processes that both write would wait for each other for ever.
    Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    try:
        while (task := tasks.get()) is not None:
            connection.send(_read(dataset, settings, slots, *task))
    except OSError:  # nobody wants the answer any more
        return


def _listen(connection: Connection, tasks: Tasks) -> None:
    try:
        while True:
            tasks.put(connection.recv())
    except Exception:  # the other side is gone, or sends what cannot be understood
        tasks.put(None)


def _read(
    dataset: Dataset, settings: CacheSettings, slots: Slots, slot: int, packed: Sequence[Any]
) -> dict[int, str] | None:
    """Fill a slot; gives the reasons, or None where the other process should see the error."""
    try:
        samples = unpack(packed)
        arrays = slots.arrays(slot, len(samples))
        return dict(decode_rows(dataset, samples, settings, arrays).reasons)
    except Exception:
        return None
