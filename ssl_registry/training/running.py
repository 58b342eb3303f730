"""Running statistics of normalisation layers, which every forward pass moves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAMES = frozenset({"running_mean", "running_var", "num_batches_tracked"})


class RunningStatistics:
    """Keeps the statistics from before a step, so that a step that is left out leaves no trace."""

    def __init__(self, module: nn.Module) -> None:
        self._buffers: list[Tensor] = [
            buffer for name, buffer in module.named_buffers() if name.rpartition(".")[2] in NAMES
        ]
        self._kept = [buffer.clone() for buffer in self._buffers]

    def keep(self) -> None:
        """Note the statistics as they are."""
        self._copy(self._buffers, self._kept)

    def put_back(self) -> None:
        """Make the statistics what they were when last noted."""
        self._copy(self._kept, self._buffers)

    @staticmethod
    def _copy(sources: list[Tensor], targets: list[Tensor]) -> None:
        with torch.no_grad():
            for source, target in zip(sources, targets, strict=True):
                target.copy_(source)
