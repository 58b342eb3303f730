"""What a fine-tuning trains on: labelled images, the first weights, and the best ones kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ssl_registry import SegmentationBatch, StepOutput
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import apply_overrides, validate
from ssl_registry.data.load import LoadedData
from ssl_registry.interfaces.training import Trainable
from ssl_registry.training.device import choose_execution
from ssl_registry.training.finetune import FinetuneJob, build_finetuning, labelled_places
from ssl_registry.training.optimizer import ScheduledOptimizer
from ssl_registry.training.schedule import Schedule
from ssl_registry.training.testing import load_labelled, masked_places
from ssl_registry.weights.write import parts_state

Opened = tuple[FinetuneConfig, LoadedData]


@pytest.fixture
def opened(finetune_table: dict[str, Any]) -> Opened:
    config = validate(FinetuneConfig, finetune_table, "test")
    return config, load_labelled(config)


def job_of(config: FinetuneConfig, data: LoadedData) -> FinetuneJob:
    return FinetuneJob(
        build_finetuning(config, data, steps=1),
        data,
        labelled_places(data, config),
        config,
        choose_execution(config.training),
    )


def head_of(job: FinetuneJob) -> nn.Conv2d:
    head: nn.Conv2d = job.module.predictor.head  # type: ignore[union-attr, assignment]
    return head


def test_smaller_fractions_are_parts_of_larger_ones(opened: Opened) -> None:
    config, data = opened
    train = set(masked_places(data, "train").tolist())
    chosen: list[set[int]] = []
    for fraction in (1.0, 0.5, 0.25, 0.1):
        places = labelled_places(data, config.model_copy(update={"fraction": fraction}))
        chosen.append(set(places.tolist()))
    assert chosen[0] == train
    assert [len(places) for places in chosen] == [28, 14, 7, 3]
    assert chosen[3] < chosen[2] < chosen[1] < chosen[0]
    other = labelled_places(data, config.model_copy(update={"fraction": 0.5, "seed": 9}))
    assert set(other.tolist()) != chosen[1]


class Recorder(Trainable):
    """Keeps the batch it is given."""

    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        self.seen = labelled
        return StepOutput(torch.zeros(()))


def test_a_step_sees_labelled_training_images_augmented_and_then_normalised(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = opened
    config = config.model_copy(update={"fraction": 0.5})
    job = job_of(config, data)

    def mirrored(batch: SegmentationBatch) -> SegmentationBatch:
        return SegmentationBatch(1 - batch.images.flip(-1), batch.masks.flip(-1))

    monkeypatch.setattr(job.module, "augment", mirrored)
    job.module = recorder = Recorder()
    order = np.random.default_rng(0).permutation(job.images)
    job.step(order)
    places = labelled_places(data, config)[order]
    assert len(places) == 14
    assert {data.parts[data.samples[place].id] for place in places} == {"train"}
    assert data.cache.masks is not None
    (mean,), (std,) = config.normalization.for_channels(1)
    images = data.cache.images[places][..., ::-1] / 255
    np.testing.assert_allclose(recorder.seen.images, (1 - images - mean) / std, atol=1e-5)
    np.testing.assert_array_equal(recorder.seen.masks, data.cache.masks[places][..., ::-1])


@pytest.mark.parametrize("scope", ["encoder", "encoder_decoder"])
def test_the_scope_decides_what_a_run_takes_over(
    scope: str, finetune_table: dict[str, Any], finetuned: Path
) -> None:
    given = load_file(finetuned / "weights" / "model.safetensors")
    table = {**finetune_table, "weights": str(finetuned / "weights"), "scope": scope}
    config = validate(FinetuneConfig, table, "test")
    data = load_labelled(config)

    def built(config: FinetuneConfig) -> dict[str, Tensor]:
        return dict(parts_state(build_finetuning(config, data, steps=1).predictor))

    own, fresh = built(config), built(config.model_copy(update={"weights": None}))
    assert own.keys() == given.keys() == fresh.keys()
    taken = ("backbone.", "decoder.") if scope == "encoder_decoder" else ("backbone.",)
    for name, value in own.items():
        assert torch.equal(value, (given if name.startswith(taken) else fresh)[name]), name
    for part in ("backbone.", "decoder.", "head."):
        assert any(not torch.equal(given[n], fresh[n]) for n in given if n.startswith(part))


def test_without_improvement_the_first_best_stays(opened: Opened) -> None:
    config, data = opened
    job = job_of(config.model_copy(update={"selection": "dice/lesion"}), data)
    bias = head_of(job).bias
    assert bias is not None
    with torch.no_grad():
        for epoch, value in enumerate((-50.0, 50.0, -50.0, 50.0), start=1):
            bias.fill_(value)
            job.epoch_ended(epoch, last=False)
    # All foreground scores above nothing at all, and the tie of epoch 4 changes nothing.
    assert job.numbers()["best_epoch"] == 2
    job.take_best()
    assert bias.item() == 50.0
    assert job.numbers()["best_score"] > 0


def test_the_best_weights_outlive_a_checkpoint(opened: Opened) -> None:
    config, data = opened
    config = config.model_copy(update={"selection": "dice/lesion"})
    killed, resumed = job_of(config, data), job_of(config, data)
    bias, resumed_bias = head_of(killed).bias, head_of(resumed).bias
    assert bias is not None and resumed_bias is not None
    with torch.no_grad():
        bias.fill_(50.0)
        killed.epoch_ended(2, last=False)
        resumed.restore(killed.tensors(), json.loads(json.dumps(killed.numbers())))
        resumed_bias.fill_(-50.0)  # nothing is found, which is worse
        resumed.epoch_ended(4, last=True)
    assert resumed.numbers() == killed.numbers()
    assert resumed.numbers()["best_epoch"] == 2
    resumed.take_best()
    assert resumed_bias.item() == 50.0


def test_the_encoder_learns_at_its_own_rate(opened: Opened, finetune_table: dict[str, Any]) -> None:
    _, data = opened
    table = apply_overrides(finetune_table, ["task.encoder_rate=0.1"])
    config = validate(FinetuneConfig, table, "test")
    task = build_finetuning(config, data, steps=18)
    schedule = Schedule(peak=1.0, final=0.0, warmup_steps=0, total_steps=10)
    optimizer = ScheduledOptimizer(task, config.training.optimizer, schedule)
    optimizer.set_step(0)
    rates = {
        id(parameter): group["lr"]
        for group in optimizer.optimizer.param_groups
        for parameter in group["params"]
    }
    for name, parameter in task.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.1 if ".backbone." in name else 1.0)
