"""The fine-tuning run: a segmentation network learns from labelled images and is tested."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.build import build_backbone, build_decoder, build_task
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.run import NormalizationConfig
from ssl_registry.data.batches import StoredArray, device_batches
from ssl_registry.data.fractions import labelled_fraction
from ssl_registry.data.leaks import find_leaks, warn_of_leaks
from ssl_registry.data.load import LoadedData
from ssl_registry.errors import ConfigError, DataError
from ssl_registry.evaluation.validation import validation_dice
from ssl_registry.interfaces.task import SegmentationBatch, Task, TaskContext
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.segmentation import SegmentationNetwork, output_count
from ssl_registry.nn.trial import refused_batch
from ssl_registry.progress import say
from ssl_registry.training.device import Execution, choose_execution
from ssl_registry.training.first_weights import trained_on_test_images
from ssl_registry.training.job import Job
from ssl_registry.training.launch import refuse_several
from ssl_registry.training.loop import Loop, total_steps
from ssl_registry.training.pictures import ValidationPictures
from ssl_registry.training.pretrain import check_image_size
from ssl_registry.training.randomness import seed_torch
from ssl_registry.training.run import Run, check_place, holding, start_run
from ssl_registry.training.testing import (
    evaluate_run,
    load_labelled,
    masked_places,
    predictor_of,
)
from ssl_registry.weights.card import Card, read_card
from ssl_registry.weights.read import load_weights
from ssl_registry.weights.tensors import owned
from ssl_registry.weights.write import write_network


class FinetuneJob(Job):
    """Labelled batches through the task; keeps the weights of the best validation Dice."""

    title = "fine-tuning"

    def __init__(
        self,
        task: Task,
        data: LoadedData,
        labelled: NDArray[np.int64],
        config: FinetuneConfig,
        execution: Execution,
    ) -> None:
        self.module = self._task = task
        self.images = len(labelled)
        self._data, self._config, self._execution = data, config, execution
        normalize = Normalize(*config.normalization.for_channels(config.channels))
        self._normalize = normalize.to(execution.device)
        if data.cache.masks is None:
            raise DataError("the dataset was loaded without its masks")
        self._images, self._masks = (
            device_batches(
                StoredArray(array, labelled), execution.device, config.training.data_on_device
            )
            for array in (data.cache.images, data.cache.masks)
        )
        self._validation = masked_places(data, "val")
        self._truth = data.cache.masks[self._validation]
        if config.selection == "dice/lesion" and len(self._truth) and not self._truth.any():
            raise DataError(
                f"no validation image shows a lesion at {config.image_size} px, by which "
                "selection = 'dice/lesion' chooses the best epoch; set selection = "
                "'dice/all_empty1', or give the part val more images"
            )
        self._predictor = predictor_of(task.predictor, data, config, execution)
        self._pictures = ValidationPictures(data, self._validation, config.threshold)
        self._best: dict[str, Tensor] = {}
        self._best_score, self._best_epoch = -math.inf, 0

    def step(self, indices: NDArray[np.int64]) -> StepOutput:
        """One forward of the task on a labelled batch."""
        images = self._images.images(indices)
        batch = SegmentationBatch(images.float() / 255, self._masks.images(indices))
        with torch.no_grad():
            batch = self._task.augment(batch)
            batch = SegmentationBatch(self._normalize(batch.images), batch.masks)
        with self._execution.autocast():
            output: StepOutput = self.module(batch, None)
        return output

    def prepare(self, coming: Sequence[NDArray[np.int64]]) -> None:
        """Gather the next batches meanwhile, where that pays."""
        self._images.prepare(coming)
        self._masks.prepare(coming)

    def epoch_ended(self, epoch: int, last: bool) -> Mapping[str, float]:
        """Validate, and keep the weights if they are the best so far."""
        due = last or epoch % self._config.validation_epochs == 0
        if not due or not len(self._validation):
            return {}
        scores = validation_dice(
            self._validated(epoch), self._config.threshold, self._data.dataset.info.exclusive
        )
        score = scores[self._config.selection]
        if score > self._best_score:
            self._best = owned(self._task.predictor.state_dict())
            self._best_score, self._best_epoch = score, epoch
        return {f"validation/{name}": value for name, value in scores.items()}

    def _validated(self, epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        """Probabilities and masks of the validation images, a batch at a time."""
        images = self._data.cache.images
        for part, probabilities in self._predictor.portions(images, self._validation):
            self._pictures.keep(epoch, part, probabilities)
            yield probabilities, self._truth[part]

    def pictures(self, epoch: int) -> Mapping[str, NDArray[np.uint8]]:
        """Validation images with truth and prediction outlined, after each validation."""
        return self._pictures.draw(epoch)

    def tensors(self) -> Mapping[str, Tensor]:
        """The best weights so far."""
        return self._best

    def numbers(self) -> Mapping[str, Any]:
        """The score and epoch of the best weights."""
        score = self._best_score if math.isfinite(self._best_score) else None
        return {"best_score": score, "best_epoch": self._best_epoch}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take back the best weights so far."""
        self._best = dict(tensors)
        score = numbers["best_score"]
        self._best_score = -math.inf if score is None else score
        self._best_epoch = numbers["best_epoch"]

    def take_best(self) -> None:
        """Put the best weights into the network; without validation the last ones stay."""
        if self._best:
            self._task.predictor.load_state_dict(self._best)


def run_finetuning(
    config: FinetuneConfig,
    out: Path | None,
    *,
    resume: bool,
    observers: Sequence[object] = (),
) -> Path:
    """Fine-tune, test, and write weights, table and report; gives the run's folder."""
    refuse_several("fine-tuning")
    execution = choose_execution(config.training)
    check_place(out)
    pretrained = read_card(config.weights) if config.weights else None
    digest = pretrained.sha256 if pretrained else ""
    data = load_labelled(config)
    labelled = labelled_places(data, config)
    if not len(masked_places(data, "test")):
        raise DataError(
            f"dataset {config.data.name!r} has no test images with masks; give its split some"
        )
    leaks = find_leaks(data) if config.check_leaks else None
    checked = pretrained if config.check_leaks else None
    earlier = trained_on_test_images(checked.run, data) if checked else []
    steps = total_steps(len(labelled), config.training)
    task = build_finetuning(config, data, steps)
    run = start_run("finetune", config, [data], execution, out, resume=resume, weights=digest)
    with holding(run):
        if run.folder.finished:
            return run.folder.path
        warn_of_leaks([*(leaks.lines() if leaks else ()), *earlier])
        job = FinetuneJob(task, data, labelled, config, execution)
        loop = Loop(job, config.training, config.seed, run.folder, execution, observers)
        state = loop.train(run.record, resume=resume)
        job.take_best()
        summary = {
            "steps": state.step,
            "epochs": state.step / loop.steps_per_epoch,
            "labelled_images": len(labelled),
            "labelled_digest": _digest([data.samples[place].id for place in labelled]),
            "best_validation": dict(job.numbers()),
            "skipped_steps": state.skipped,
            "training_seconds": state.seconds,
            "wall_seconds": state.wall_seconds,
            "peak_memory_bytes": state.peak_memory,
            "warnings": [*(leaks.lines() if leaks else []), *earlier],
        }
        origin = {"pretraining": _earlier(pretrained)} if pretrained else {}
        summary = _finish(run, origin, data, task.predictor, config, execution, summary)
        loop.finished(summary)
    return run.folder.path


def _earlier(card: Card) -> dict[str, Any]:
    """What the card of the first weights says of their origin, for that of the new ones."""
    return {**card.run, "licence": card.licence, "digest": card.digest}


def _finish(
    run: Run,
    origin: Mapping[str, Any],
    data: LoadedData,
    network: SegmentationNetwork,
    config: FinetuneConfig,
    execution: Execution,
    summary: dict[str, Any],
) -> dict[str, Any]:
    """Write the weights, test them, and close the run; gives the summary with its scores.

    What is known of the origin of the first weights goes into the card beside the run's record.
    """
    info, record = data.dataset.info, {**run.record, **origin}
    write_network(
        run.folder.weights, network, config, info.classes, info.exclusive, record, summary
    )
    summary = evaluate_run(run, data, network, config, execution, summary)
    run.folder.finish(summary)
    return summary


def labelled_places(data: LoadedData, config: FinetuneConfig) -> NDArray[np.int64]:
    """Places of the training samples whose labels are used."""
    places = {data.samples[place].id: place for place in masked_places(data, "train")}
    if not places:
        raise DataError(f"dataset {config.data.name!r} has no training images with masks")
    samples = [data.samples[place] for place in places.values()]
    chosen = labelled_fraction(samples, config.fraction, config.seed)
    return np.asarray([places[sample.id] for sample in chosen], dtype=np.int64)


def build_finetuning(config: FinetuneConfig, data: LoadedData, steps: int) -> Task:
    """The task around a network with fresh weights, and pre-trained ones where given."""
    info = data.dataset.info
    seed_torch(config.seed, "network")
    backbone = build_backbone(config.backbone, config.channels)
    check_image_size(config.image_size, config.backbone.name, backbone.minimum_size)
    decoder = build_decoder(config.decoder, backbone)
    network = SegmentationNetwork(
        backbone, decoder, output_count(len(info.classes), info.exclusive)
    )
    _check_batch(config, network)
    if config.weights is not None:
        _check_normalization(config, config.weights)
        report = load_weights(network, config.weights, config.scope)
        say(f"starting from {config.weights}: {report}", sys.stderr)
    return build_task(config.task, network, TaskContext(info.classes, info.exclusive, steps))


def _check_batch(config: FinetuneConfig, network: SegmentationNetwork) -> None:
    """Normalisation needs more than one value per channel."""
    parts = config.training.accumulation
    images = config.training.batch_size // parts
    refused = refused_batch(network, images, config.channels, config.image_size)
    if refused:
        way_out = "use larger images" if images > 1 else "use 2 images or more at a time"
        raise ConfigError(
            f"training.batch_size = {config.training.batch_size} "
            + (f"in {parts} parts (training.accumulation) " if parts > 1 else "")
            + f"leaves a normalisation of this network a single value at image_size = "
            f"{config.image_size}; {way_out} ({refused})"
        )


def _check_normalization(config: FinetuneConfig, weights: Path) -> None:
    """Pre-trained weights want images normalised as they were in their pre-training."""
    card = read_card(weights)
    mean, std = config.normalization.for_channels(config.channels)
    given = NormalizationConfig(mean=card.mean, std=card.std).for_channels(config.channels)
    if given != (mean, std):
        raise ConfigError(
            f"the weights in {weights} were trained on images normalised with mean "
            f"{list(card.mean)} and std {list(card.std)}, this run uses {list(mean)} and "
            f"{list(std)}; set normalization to theirs"
        )


def _digest(ids: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()
