"""Running statistics of normalisation layers, which every forward pass moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAMES = frozenset({"running_mean", "running_var", "num_batches_tracked"})


class RunningStatistics:
    """Keeps the statistics from before a step, so that a step that is left out leaves no trace."""

    def __init__(self, module: nn.Module) -> None:
        buffers = [
            buffer for name, buffer in module.named_buffers() if name.rpartition(".")[2] in NAMES
        ]
        # Those of one kind next to each other: a GPU copies them in one go.
        self._buffers: list[Tensor] = sorted(buffers, key=lambda buffer: str(buffer.dtype))
        self._kept = [buffer.clone() for buffer in self._buffers]

    def keep(self) -> None:
        """Note the statistics as they are."""
        self._copy(self._buffers, self._kept)

    def put_back(self) -> None:
        """Make the statistics what they were when last noted."""
        self._copy(self._kept, self._buffers)

    @staticmethod
    def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
        if sources:  # networks without such layers have none
            with torch.no_grad():
                torch._foreach_copy_(targets, sources)
