"""The pre-training run: a method trains a trunk on the images of one or several datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ssl_registry.build import (
    build_augmentation,
    build_backbone,
    build_decoder,
    build_method,
)
from ssl_registry.config.model import ComponentConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.batches import device_batches
from ssl_registry.data.expected import warn_of_counts
from ssl_registry.data.mixing import epoch_length
from ssl_registry.data.pool import ImagePool, load_pool
from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.method import MethodContext
from ssl_registry.nn.distributed import world_size
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.trunk import Trunk
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.distributed import images_per_forward
from ssl_registry.training.loop import Loop, steps_per_epoch, total_steps
from ssl_registry.training.loop_state import LoopState
from ssl_registry.training.monitor import Monitor
from ssl_registry.training.pretrain_job import PretrainJob as PretrainJob
from ssl_registry.training.processes import (
    agreed,
    leads,
    of_leader,
    one_after_another,
    own_device,
    session,
)
from ssl_registry.training.randomness import seed_torch
from ssl_registry.training.run import check_place, holding, start_run
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.weights.write import write_trunk


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


def run_pretraining(
    config: PretrainConfig,
    out: Path | None,
    *,
    resume: bool,
    observers: Sequence[object] = (),
) -> Path:
    """Pre-train and write weights and report; gives the run's folder.

    Of several processes all do this together, and the leading one writes.
    """
    with session():
        return _pretrain_together(config, out, resume, observers)


def _pretrain_together(
    config: PretrainConfig, out: Path | None, resume: bool, observers: Sequence[object]
) -> Path:
    with agreed():
        augmentation_of(config)  # before anything is cached
        training = config.training
        device = own_device(training.device)
        execution = choose_execution(training.model_copy(update={"device": device}))
        if leads():
            check_place(out)
        trunk = build_trunk(config)
    size, channels = config.stored_size, config.channels
    pool = one_after_another(
        lambda: load_pool(config.data, config.parts, size=size, channels=channels)
    )
    # A method or augmentation that refuses the config must not leave a claimed folder.
    with agreed():
        warn_of_counts(config.expected_images, pool.members)
        steps = total_steps(epoch_length(pool.shares(config.mixing)), training)
        job = build_job(config, trunk, pool, steps, execution)
    run = None
    with agreed():
        if leads():
            run = start_run("pretrain", config, pool.members, execution, out, resume=resume)
    with holding(run) if run else nullcontext():
        place, finished = of_leader([str(run.folder.path), run.folder.finished] if run else None)
        if finished:
            return Path(place)
        if run:
            job.monitor.announce()
        folder = run.folder if run else RunFolder(Path(place))
        with agreed():
            loop = Loop(job, training, config.seed, folder, execution, observers)
        state = loop.train(run.record if run else {}, resume=resume)
        with agreed():
            if run:
                summary = _summary(job, state, loop.steps_per_epoch, folder.read_log()[-1])
                write_trunk(folder.weights, trunk, config, run.record, summary)
                run.write_report(summary)
                folder.finish(summary)
                loop.finished(summary)
    return folder.path


def _summary(
    job: PretrainJob, state: LoopState, steps_per_epoch: int, last: Mapping[str, Any]
) -> dict[str, Any]:
    """What is told of a run that ended well, of whose log `last` is the last row."""
    return {
        "steps": state.step,
        "epochs": state.step / steps_per_epoch,
        "images": job.pool_size,
        "processes": world_size(),
        "skipped_steps": state.skipped,
        "training_seconds": state.seconds,
        "wall_seconds": state.wall_seconds,
        "loss": last["loss"],
        "peak_memory_bytes": state.peak_memory,
        **job.monitor.summary(last),
    }


def build_job(
    config: PretrainConfig, trunk: Trunk, pool: ImagePool, steps: int, execution: Execution
) -> PretrainJob:
    """The job of a config, around the trunk it trains."""
    context = MethodContext(
        num_images=len(pool),
        total_steps=steps,
        batch_size=images_per_forward(config.training.batch_size, config.training.accumulation),
        image_size=config.image_size,
        channels=config.channels,
        vocabulary=pool.vocabulary,
        world_size=world_size(),
    )
    stored = pool.members[0].cache.images.shape[1]
    shares = pool.shares(config.mixing)
    # What the leading process measures needs no data in the others.
    measured = config if leads() else config.model_copy(update={"probes": ()})
    epochs = math.ceil(steps / steps_per_epoch(epoch_length(shares), config.training.batch_size))
    seed_torch(config.seed, "method")
    return PretrainJob(
        method=build_method(config.method, trunk, context),
        augmentation=build_augmentation(augmentation_of(config), config.image_size, stored),
        pool=pool,
        batches=device_batches(pool, execution.device, config.training.data_on_device),
        shares=shares,
        normalize=Normalize(*config.normalization.for_channels(config.channels)),
        execution=execution,
        monitor=Monitor(measured, trunk, pool, epochs, execution, lambda: build_trunk(config)),
    )
