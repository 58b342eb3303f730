"""One process that decodes samples, as the process sees it that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image as PillowImage
from PIL import ImageFile

from ssl_registry.config.split import Part
from ssl_registry.data.cache_rows import CacheSettings
from ssl_registry.data.cache_slots import Slots
from ssl_registry.interfaces.dataset import Dataset, Sample

_COMMAND = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from ssl_registry.data.cache_worker import main; main(*map(int, sys.argv[1:3]))"
)
_GRACE_SECONDS = 0.1


class Process:
    """One process with what it is at.

    Attributes:
        connection: To the process.
        tasks: Numbers of its tasks, the oldest first.
    """

    def __init__(self, slots: Slots) -> None:
        self.tasks: deque[int] = deque()
        self.connection: Connection
        self._slots = slots
        self.connection, other = Pipe()
        options = [f"-W{option}" for option in sys.warnoptions]
        files = (other.fileno(), slots.descriptor)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, *options, "-P", "-c", _COMMAND, *map(str, files), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=files,
            )

    def introduce(self, dataset: Dataset, settings: CacheSettings) -> None:
        """Tell it what it will read; raises what pickling raises."""
        slots = self._slots
        # What a user's script may have told Pillow about large and truncated pictures.
        limits = (PillowImage.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
        self.connection.send((limits, dict(slots.shapes), slots.rows, slots.count))
        self.connection.send((dataset, settings))

    def end(self) -> str:
        """End it, unless it has ended by itself; gives how."""
        self.connection.close()
        try:
            code = self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with status {code}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def pack(samples: Sequence[Sample]) -> list[Any]:
    """Samples as they are sent: paths as text, which costs a tenth; other kinds as they are."""
    return [
        (each.id, each.label, each.group, each.split, each.has_mask, _texts(each), each.meta)
        if type(each) is Sample
        else each
        for each in samples
    ]


def unpack(packed: Sequence[Any]) -> list[Sample]:
    """The samples that were packed."""
    return [_sample(*each) if type(each) is tuple else each for each in packed]


def _sample(
    name: str,
    label: str | None,
    group: str | None,
    split: Part | None,
    has_mask: bool,
    files: Sequence[str],
    meta: Mapping[str, str],
) -> Sample:
    return Sample(name, label, group, split, has_mask, tuple(map(Path, files)), meta)


def _texts(sample: Sample) -> tuple[str, ...]:
    return tuple(map(os.fspath, sample.files))
