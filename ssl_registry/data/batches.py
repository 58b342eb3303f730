"""Batches of stored images on the device of a run: from its own memory, or sent as they come.

The pixels are the same either way. On the CPU a batch is gathered from the memory map when it is
asked for: that takes a thousandth of a step. On an accelerator all images lie in its memory if
they fit, as bytes; else the next batch is gathered into pinned memory while a step runs. Where
memory does not hold all images, the disk is asked for the next batch meanwhile; see `streaming`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.data.room import in_words
from ssl_registry.data.streaming import reads_ahead
from ssl_registry.errors import ConfigError
from ssl_registry.nn.transfer import sent

OnDevice = Literal["auto"] | bool
SHARE: Final = 0.25
"""`auto` gives the images at most this share of the device's free memory."""
_CHUNK_BYTES: Final = 2**26

Places = NDArray[np.int64]


class Stored(Protocol):
    """Images, or masks, that can be gathered; an `ImagePool` is such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one of them."""

    @property
    def bytes(self) -> int:
        """What all of them take."""

    def __len__(self) -> int: ...

    def images(self, indices: Places) -> Tensor:
        """Those at `indices` as uint8 `[B, *shape]`, in the caller's own memory."""

    def expect(self, indices: Places) -> None:
        """Have those at `indices` read from the disk, if memory does not hold them all."""


class StoredArray:
    """Some rows of an array, such as a cache's masks of one part."""

    def __init__(self, array: NDArray[np.uint8], places: Places) -> None:
        self._array, self._places = array, places
        self._ahead = reads_ahead([array])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row."""
        return self._array.shape[1:]

    @property
    def bytes(self) -> int:
        """What all chosen rows take."""
        return len(self) * math.prod(self.shape)

    def __len__(self) -> int:
        return len(self._places)

    def images(self, indices: Places) -> Tensor:
        """Those at `indices` as uint8 `[B, *shape]`, in the caller's own memory."""
        self.expect(indices)
        return torch.from_numpy(self._array[self._places[indices]])

    def expect(self, indices: Places) -> None:
        """Have those at `indices` read from the disk, if memory does not hold them all."""
        for ahead in self._ahead:
            ahead.rows(self._places[indices])


class Batches(ABC):
    """Gives uint8 batches `[B, *shape]` on a device."""

    @abstractmethod
    def images(self, indices: Places) -> Tensor:
        """Those at `indices`, in the caller's own memory."""

    def prepare(self, coming: Sequence[Places]) -> None:
        """Say which batches will be asked for next, so that they may be gathered meanwhile."""
        return


def device_batches(stored: Stored, device: torch.device, on_device: OnDevice) -> Batches:
    """The quickest way to batches of stored images.

    Args:
        stored: The images.
        device: Where batches are wanted.
        on_device: Whether all images are kept in the device's memory; `auto`: if the device is
            an accelerator and they take at most `SHARE` of what it has free.

    Raises:
        ConfigError: They are to be kept there but do not fit.
    """
    free = _free_bytes(device)
    if on_device is True:
        if free is not None and stored.bytes > free:
            raise ConfigError(
                f"training.data_on_device = true needs {in_words(stored.bytes)} on {device}, where "
                f"{in_words(free)} are free; leave it at auto"
            )
        return ResidentBatches(stored, device)
    if on_device == "auto" and free is not None and stored.bytes <= SHARE * free:
        return ResidentBatches(stored, device)
    return MappedBatches(stored) if device.type == "cpu" else SentBatches(stored, device)


def _free_bytes(device: torch.device) -> int | None:
    """Free memory of an accelerator; None where that is not known, as of the CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return None


class MappedBatches(Batches):
    """Gathered from the memory map when they are asked for."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def images(self, indices: Places) -> Tensor:
        """Those at `indices`, in the caller's own memory."""
        return self._stored.images(indices)

    def prepare(self, coming: Sequence[Places]) -> None:
        """Have what will be asked for next read from the disk while a step runs."""
        for indices in coming:
            self._stored.expect(indices)


class ResidentBatches(Batches):
    """Gathered on the device, where all images lie."""

    def __init__(self, stored: Stored, device: torch.device) -> None:
        count = len(stored)
        self._images = torch.empty((count, *stored.shape), dtype=torch.uint8, device=device)
        step = max(1, _CHUNK_BYTES * count // stored.bytes)
        for start in range(0, count, step):
            some = stored.images(np.arange(start, min(start + step, count)))
            self._images[start : start + len(some)].copy_(some)

    def images(self, indices: Places) -> Tensor:
        """Those at `indices`, in the caller's own memory."""
        places = sent(torch.from_numpy(indices), self._images.device)
        return self._images.index_select(0, places)


class SentBatches(Batches):
    """Gathered by a thread of its own while a step runs, and sent from pinned memory."""

    def __init__(self, stored: Stored, device: torch.device) -> None:
        self._stored, self._device = stored, device
        self._pinned = device.type == "cuda"
        self._thread = ThreadPoolExecutor(1, "batches")
        self._coming: deque[tuple[Places, Future[Tensor]]] = deque()

    def images(self, indices: Places) -> Tensor:
        """Those at `indices`, in the caller's own memory."""
        for number, (places, gathered) in enumerate(self._coming):
            if np.array_equal(places, indices):
                for _ in range(number + 1):
                    self._coming.popleft()
                return gathered.result().to(self._device, non_blocking=True)
        return self._gather(indices).to(self._device, non_blocking=True)

    def prepare(self, coming: Sequence[Places]) -> None:
        """Gather what will be asked for next."""
        while len(self._coming) > len(coming):  # what nobody has asked for
            self._coming.popleft()
        for places in coming:
            self._coming.append((places, self._thread.submit(self._gather, places)))

    def _gather(self, indices: Places) -> Tensor:
        batch = self._stored.images(indices)
        # torch keeps pinned memory until what is being sent from it has arrived.
        return batch.pin_memory() if self._pinned else batch
