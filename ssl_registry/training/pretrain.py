"""The pre-training run: a method trains a trunk on the images of one or several datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.build import (
    build_augmentation,
    build_backbone,
    build_decoder,
    build_method,
)
from ssl_registry.config.model import ComponentConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.expected import warn_of_counts
from ssl_registry.data.mixing import Share, epoch_length
from ssl_registry.data.pool import ImagePool, load_pool
from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.augmentation import Augmentation, Views
from ssl_registry.interfaces.method import Method, MethodContext, PretrainBatch
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.job import Job
from ssl_registry.training.loop import Loop, steps_per_epoch, total_steps
from ssl_registry.training.monitor import Monitor
from ssl_registry.training.randomness import mixed_order, seed_torch
from ssl_registry.training.run import check_place, holding, start_run
from ssl_registry.weights.write import write_trunk


class PretrainJob(Job):
    """Gathers a batch, augments it on the device, and hands the views to the method."""

    title = "pre-training"

    def __init__(
        self,
        method: Method,
        augmentation: Augmentation,
        pool: ImagePool,
        shares: tuple[Share, ...],
        normalize: Normalize,
        execution: Execution,
        monitor: Monitor,
    ) -> None:
        self.module = method
        self.images = epoch_length(shares)
        self.monitor = monitor
        self._pool, self._shares, self._execution = pool, shares, execution
        self._augmentation = augmentation.to(execution.device)
        self._normalize = normalize.to(execution.device)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The order in which an epoch visits the pool's images, mixed as the config says."""
        return mixed_order(seed, epoch, self._shares)

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """One forward of the method on augmented views."""
        ids = torch.from_numpy(indices)
        return self._forward(self._pool.images(indices), ids, self._pool.meta(indices))

    def _forward(self, images: Tensor, ids: Tensor, meta: Mapping[str, Tensor]) -> StepOutput:
        """The method on views of uint8 images, with their ids and metadata codes."""
        device = self._execution.device
        with torch.no_grad():
            views = self._augmentation(images.to(device, non_blocking=True).float() / 255)
            views = Views(
                images=tuple(self._normalize(view) for view in views.images),
                source=views.source,
                transforms=views.transforms,
                masks=views.masks,
            )
        batch = PretrainBatch(
            views=views,
            sample_id=ids.to(device),
            meta={key: codes.to(device) for key, codes in meta.items()},
        )
        with self._execution.autocast():
            output: StepOutput = self.module(batch)
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

    def numbers(self) -> Mapping[str, Any]:
        """What the monitor has counted."""
        return self.monitor.numbers()

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take back what the monitor has counted."""
        self.monitor.restore(numbers)


def augmentation_of(config: PretrainConfig) -> ComponentConfig:
    """The config's augmentation, which validation fills in from the method's default.

    Raises:
        ConfigError: The config names none and the method has no default.
    """
    if config.augmentation is None:
        raise ConfigError(f"method {config.method.name!r} has no default augmentation; name one")
    return config.augmentation


def build_trunk(config: PretrainConfig) -> Trunk:
    """Backbone, and decoder if there is one, with fresh weights drawn from the config's seed.

    Raises:
        ConfigError: The images are smaller than the backbone takes.
    """
    trunk = fresh_trunk(config.backbone, config.decoder, config.channels, config.seed)
    check_image_size(config.image_size, config.backbone.name, trunk.backbone.minimum_size)
    return trunk


def fresh_trunk(
    backbone: ComponentConfig, decoder: ComponentConfig | None, channels: int, seed: int
) -> Trunk:
    """The trunk that a pre-training with `seed` starts from."""
    seed_torch(seed, "trunk")
    encoder = build_backbone(backbone, channels)
    return Trunk(encoder, build_decoder(decoder, encoder) if decoder else None)


def check_image_size(size: int, name: str, minimum: int) -> None:
    """Raise unless images of `size` px are large enough for backbone `name`."""
    if size < minimum:
        raise ConfigError(
            f"image_size = {size} is below what backbone {name!r} takes: at least {minimum} px"
        )


def run_pretraining(config: PretrainConfig, out: Path | None, *, resume: bool) -> Path:
    """Pre-train and write weights and report; gives the run's folder."""
    augmentation_of(config)  # before anything is cached
    execution = choose_execution(config.training)
    check_place(out)
    trunk = build_trunk(config)
    pool = load_pool(config.data, config.parts, size=config.stored_size, channels=config.channels)
    warn_of_counts(config.expected_images, pool.members)
    steps = total_steps(epoch_length(pool.shares(config.mixing)), config.training)
    # A method or augmentation that refuses the config must not leave a claimed folder.
    job = build_job(config, trunk, pool, steps, execution)
    run = start_run("pretrain", config, pool.members, execution, out, resume=resume)
    with holding(run):
        if run.folder.finished:
            return run.folder.path
        job.monitor.announce()
        loop = Loop(job, config.training, config.seed, run.folder, execution)
        state = loop.train(run.record, resume=resume)
        last = run.folder.read_log()[-1]
        summary: dict[str, Any] = {
            "steps": state.step,
            "epochs": state.step / loop.steps_per_epoch,
            "images": len(pool),
            "skipped_steps": state.skipped,
            "training_seconds": state.seconds,
            "wall_seconds": state.wall_seconds,
            "loss": last["loss"],
            "peak_memory_bytes": state.peak_memory,
            **job.monitor.summary(last),
        }
        write_trunk(run.folder.weights, trunk, config, run.record, summary)
        run.write_report(summary)
        run.folder.finish(summary)
        loop.finished(summary)
    return run.folder.path


def build_job(
    config: PretrainConfig, trunk: Trunk, pool: ImagePool, steps: int, execution: Execution
) -> PretrainJob:
    """The job of a config, around the trunk it trains."""
    context = MethodContext(
        num_images=len(pool),
        total_steps=steps,
        batch_size=config.training.batch_size,
        image_size=config.image_size,
        channels=config.channels,
        vocabulary=pool.vocabulary,
    )
    stored = pool.members[0].cache.images.shape[1]
    shares = pool.shares(config.mixing)
    epochs = math.ceil(steps / steps_per_epoch(epoch_length(shares), config.training.batch_size))
    seed_torch(config.seed, "method")
    return PretrainJob(
        method=build_method(config.method, trunk, context),
        augmentation=build_augmentation(augmentation_of(config), config.image_size, stored),
        pool=pool,
        shares=shares,
        normalize=Normalize(*config.normalization.for_channels(config.channels)),
        execution=execution,
        monitor=Monitor(config, trunk, pool, epochs, execution, lambda: build_trunk(config)),
    )
