"""Embeddings of images as they are, without augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.evaluation.portions import portions
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.training.device import Execution
from ssl_registry.training.undisturbed import undisturbed

Output = TypeVar("Output")

BATCH = 256
"""So many images at a time, or fewer if they are large."""


class Reader:
    """Shows stored images to a frozen network, a batch at a time, in fp32.

    A run may train in bf16; its probes and those of `ssl-registry probe` read the same features.

    Args:
        normalize: How images in [0, 1] are normalised.
        execution: Names the device.
    """

    def __init__(self, normalize: Normalize, execution: Execution) -> None:
        self._normalize = normalize.to(execution.device)
        self._device = execution.device

    def embed(self, trunk: Trunk, images: NDArray[np.uint8]) -> Tensor:
        """Embeddings fp32 `[N, D]`, on the CPU, of uint8 images `[N, C, S, S]`."""
        return torch.cat(self.outputs(trunk, lambda x: trunk.embed(x).float().cpu(), images))

    def outputs(
        self,
        module: nn.Module,
        function: Callable[[Tensor], Output],
        images: NDArray[np.uint8],
    ) -> list[Output]:
        """What `function` of the normalised images gives, batch by batch.

        Args:
            module: The network that `function` uses; in eval mode meanwhile, then as before.
            function: A function of images float `[n, C, S, S]`.
            images: uint8 `[N, C, S, S]`.
        """
        with undisturbed(module):
            return [
                function(self._read(images[part]))
                for part in portions(len(images), BATCH, images.shape[-1])
            ]

    def _read(self, images: NDArray[np.uint8]) -> Tensor:
        stored = torch.from_numpy(np.array(images))
        normalized: Tensor = self._normalize(stored.to(self._device).float() / 255)
        return normalized
