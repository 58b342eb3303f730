"""The job of pre-training: from places of images to the loss of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_registry.data.batches import Batches
from ssl_registry.data.mixing import Share, epoch_length
from ssl_registry.data.pool import ImagePool
from ssl_registry.interfaces.augmentation import Augmentation, Views
from ssl_registry.interfaces.method import Method, PretrainBatch
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.transfer import sent
from ssl_registry.training.device import Execution
from ssl_registry.training.job import Job
from ssl_registry.training.monitor import Monitor
from ssl_registry.training.pictures import shown_images, view_pictures
from ssl_registry.training.randomness import mixed_order


class PretrainJob(Job):
    """Gathers a batch, augments it on the device, and hands the views to the method."""

    title = "pre-training"

    def __init__(
        self,
        method: Method,
        augmentation: Augmentation,
        pool: ImagePool,
        batches: Batches,
        shares: tuple[Share, ...],
        normalize: Normalize,
        execution: Execution,
        monitor: Monitor,
    ) -> None:
        self.module = method
        self.images = epoch_length(shares)
        self.pool_size = len(pool)
        self._forward_of_step: nn.Module = method
        self.monitor = monitor
        self._pool, self._batches = pool, batches
        self._shares, self._execution = shares, execution
        self._augmentation = augmentation.to(execution.device)
        self._normalize = normalize.to(execution.device)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order in which an epoch visits the pool's images, mixed as the config says."""
        return mixed_order(seed, epoch, self._shares)

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """One forward of the method on augmented views."""
        ids = torch.from_numpy(indices)
        module = self._forward_of_step
        return self._forward(self._batches.images(indices), ids, self._pool.meta(indices), module)

    def prepare(self, coming: Sequence[NDArray[np.int64]]) -> None:
        """Gather the next batches meanwhile, where that pays."""
        self._batches.prepare(coming)

    def forward_by(self, wrapped: nn.Module) -> None:
        """Let every forward of a training step go through `wrapped`."""
        self._forward_of_step = wrapped

    def _forward(
        self,
        images: Tensor,
        ids: Tensor,
        meta: Mapping[str, Tensor],
        module: nn.Module | None = None,
    ) -> StepOutput:
        """The method, or `module` around it, on views of uint8 images with ids and meta codes."""
        device = self._execution.device
        with torch.no_grad():
            views = self._augmentation(images.to(device, non_blocking=True).float().div_(255))
            views = Views(
                images=tuple(self._normalize(view) for view in views.images),
                source=views.source,
                transforms=views.transforms,
                masks=views.masks,
            )
        batch = PretrainBatch(
            views=views,
            sample_id=sent(ids, device),
            meta={key: sent(codes, device) for key, codes in meta.items()},
        )
        with self._execution.autocast():
            output: StepOutput = (module or self.module)(batch)
        return output

    def stepped(self, scalars: Mapping[str, float]) -> None:
        """Watch for collapse."""
        self.monitor.saw(scalars)

    @property
    def stop_reason(self) -> str:
        """A collapse, if the config wants the run to end then."""
        return self.monitor.stop_reason

    def epoch_ended(self, epoch: int, last: bool) -> Mapping[str, float]:
        """Validate, and measure what else is due."""
        return self.monitor.measure(self.module, self._forward, epoch)

    def pictures(self, epoch: int) -> Mapping[str, NDArray[np.uint8]]:
        """A few training images with views of them, before the first step."""
        if epoch:
            return {}
        images = self._pool.images(shown_images(len(self._pool)))
        return view_pictures(self._augmentation, images.to(self._execution.device))

    def numbers(self) -> Mapping[str, Any]:
        """What the monitor has counted."""
        return self.monitor.numbers()

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take back what the monitor has counted."""
        self.monitor.restore(numbers)
