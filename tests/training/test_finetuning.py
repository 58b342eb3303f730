"""Whole runs of fine-tuning: what they leave behind, and what they refuse."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ssl_registry import finetune, pretrain
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import apply_overrides, validate
from ssl_registry.data.leaks import LeakWarning
from ssl_registry.errors import ConfigError, DataError
from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.table import read_table
from ssl_registry.training import finetune as finetune_module
from ssl_registry.training.device import choose_execution
from ssl_registry.training.finetune import FinetuneJob
from ssl_registry.training.first_weights import trained_on_test_images
from ssl_registry.training.run import Run
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.testing import load_labelled, masked_places, predictor_of, score
from ssl_registry.weights.card import read_card
from ssl_registry.weights.networks import load_network
from ssl_registry.weights.tensors import owned
from ssl_registry.weights.write import parts_state


def test_validation_comes_every_so_many_epochs_and_after_the_last(finetuned: Path) -> None:
    rows = RunFolder(finetuned).read_log()
    epochs = [row["epoch"] for row in rows if "validation/dice/lesion" in row]
    assert len(rows) == 8
    assert epochs == [3, 6, 8]


def test_the_best_validated_weights_are_saved(finetuned: Path) -> None:
    rows = RunFolder(finetuned).read_log()
    scores = {
        row["epoch"]: row["validation/dice/all_empty1"] for row in rows if row["epoch"] in (3, 6, 8)
    }
    best = max(scores, key=lambda epoch: scores[epoch])
    summary = json.loads((finetuned / "summary.json").read_text())
    assert summary["best_validation"] == {"best_score": scores[best], "best_epoch": best}

    table = json.loads((finetuned / "config.json").read_text())["config"]
    config = validate(FinetuneConfig, table, "test")
    data = load_labelled(config)
    network, _ = load_network(finetuned / "weights")
    predictor = predictor_of(network, data, config, choose_execution(config.training))
    of_images = score(predictor, data, masked_places(data, "val"), config)
    assert aggregate(of_images, "normal")["dice/all_empty1"] == pytest.approx(
        scores[best], abs=1e-12
    )


def test_weights_of_an_earlier_best_epoch_are_saved(
    finetune_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.9, 0.1])
    states: list[dict[str, torch.Tensor]] = []
    original = FinetuneJob.epoch_ended

    def noted(job: FinetuneJob, epoch: int, last: bool) -> Mapping[str, float]:
        states.append(owned(parts_state(job.module.predictor)))  # type: ignore[arg-type]
        return original(job, epoch, last)

    monkeypatch.setattr(FinetuneJob, "epoch_ended", noted)
    monkeypatch.setattr(
        finetune_module, "validation_dice", lambda *_: {"dice/all_empty1": next(scores)}
    )
    monkeypatch.setattr(Run, "write_report", lambda *_: None)
    run = finetune(apply_overrides(finetune_table, ["training.epochs=3"]), tmp_path / "run")
    saved = load_file(run / "weights" / "model.safetensors")
    assert saved.keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in saved.items())
    assert not all(torch.equal(value, states[2][name]) for name, value in saved.items())
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best_validation"] == {"best_score": 0.9, "best_epoch": 2}


def test_the_summary_says_what_was_done(finetuned: Path) -> None:
    summary = json.loads((finetuned / "summary.json").read_text())
    card = read_card(finetuned / "weights")
    assert (summary["steps"], summary["epochs"], summary["labelled_images"]) == (24, 8.0, 28)
    assert card.summary["best_validation"] == summary["best_validation"]
    assert (card.content, card.classes, card.channels, card.gray) == (
        "segmentation",
        ("lesion",),
        1,
        True,
    )
    table = read_table(finetuned / "metrics.csv")
    with (finetuned / "split.csv").open(newline="", encoding="utf-8") as file:
        tested = {row["id"] for row in csv.DictReader(file) if row["split"] == "test"}
    assert len(tested) == 8
    assert set(table["id"]) == tested
    values = aggregate(table, "normal")
    written = summary["test"]
    assert set(values) == set(written)
    for name, value in values.items():
        assert written[name] == (value if np.isfinite(value) else None), name
    assert "Dice" in (finetuned / "report.html").read_text()


def test_the_easy_set_is_learnt(finetune_table: dict[str, Any], tmp_path: Path) -> None:
    longer = ["training.epochs=20", "validation_epochs=10", "training.optimizer.learning_rate=0.01"]
    run = finetune(apply_overrides(finetune_table, longer), tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["test"]["dice/lesion"] > 0.7


@pytest.mark.parametrize("batch", [["1"], ["2", "training.accumulation=2"]])
def test_a_batch_of_one_is_refused_where_normalisation_would_see_one_value(
    finetune_table: dict[str, Any], tmp_path: Path, batch: list[str]
) -> None:
    small = ["image_size=8", "backbone.widths=[4, 4, 4, 4]", "decoder.widths=[4, 4, 4]"]
    table = apply_overrides(finetune_table, [f"training.batch_size={batch[0]}", *batch[1:], *small])
    with pytest.raises(ConfigError, match=r"a single value at image_size = 8; use 2 images"):
        finetune(table, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_epoch_cannot_be_chosen_by_lesions_that_are_not_there(
    finetune_table: dict[str, Any], tmp_path: Path
) -> None:
    table = finetune_table | {"selection": "dice/lesion"}
    config = FinetuneConfig.model_validate(table)
    samples = load_labelled(config).samples
    healthy = {s.id for s in [s for s in samples if s.label == "normal"][:4]}
    ill = [s.id for s in samples if s.id not in healthy]
    parts = dict.fromkeys(healthy, "val") | dict.fromkeys(ill[:30], "train")
    rows = "".join(f"{s.id},{parts.get(s.id, 'test')}\n" for s in samples)
    (tmp_path / "split.csv").write_text(f"id,split\n{rows}")
    table["data"]["split"] = {"kind": "file", "file": str(tmp_path / "split.csv")}
    with pytest.raises(DataError, match="no validation image shows a lesion at 32 px"):
        finetune(table, tmp_path / "run")
    finetune(table | {"selection": "dice/all_empty1"}, tmp_path / "run")


def test_test_images_that_the_first_weights_saw_are_told(
    pretrain_table: dict[str, Any],
    finetune_table: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Run, "write_report", lambda *_: None)
    for table in (pretrain_table, finetune_table):
        table["training"] |= {"max_steps": 1}
    before = pretrain(pretrain_table | {"parts": ["train", "test"]}, tmp_path / "before")
    finetune_table |= {"weights": str(before / "weights"), "scope": "encoder"}
    with pytest.warns(LeakWarning, match=r"busi: .* with its part test; set parts") as told:
        run = finetune(finetune_table, tmp_path / "run")
    (line,) = json.loads((run / "summary.json").read_text())["warnings"]
    assert [str(warning.message) for warning in told] == [line]
    # The card of the new weights tells of both trainings to whoever goes on from them.
    origin = read_card(run / "weights").run
    data = load_labelled(validate(FinetuneConfig, finetune_table, "test"))
    assert trained_on_test_images(origin, data) == [line]
    other = apply_overrides(finetune_table, ["data.split.seed=1"])
    (line,) = trained_on_test_images(origin, load_labelled(validate(FinetuneConfig, other, "test")))
    assert "with another split; give both the same `split`" in line
    quiet = finetune(finetune_table | {"check_leaks": False}, tmp_path / "quiet")
    assert json.loads((quiet / "summary.json").read_text())["warnings"] == []


def test_weights_of_another_normalisation_are_refused(
    finetune_table: dict[str, Any], finetuned: Path, tmp_path: Path
) -> None:
    table = {**finetune_table, "weights": str(finetuned / "weights")}
    table["normalization"] = {"mean": [0.5], "std": [0.25]}
    with pytest.raises(ConfigError, match=r"normalised with mean .* this run uses \[0.5\]"):
        finetune(table, tmp_path / "run")


def of_backbone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's part of a network's state: weights and BatchNorm statistics."""
    return {name: value for name, value in state.items() if name.startswith("backbone.")}


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_frozen_encoder_keeps_its_weights_and_statistics(
    finetune_table: dict[str, Any], finetuned: Path, tmp_path: Path
) -> None:
    table = {**finetune_table, "weights": str(finetuned / "weights")}
    run = finetune(apply_overrides(table, ["task.freeze_encoder=1"]), tmp_path / "run")
    # They were trained on the same part of the same split, so that nothing leaks.
    assert json.loads((run / "summary.json").read_text())["warnings"] == []
    given = load_file(finetuned / "weights" / "model.safetensors")
    saved = load_file(run / "weights" / "model.safetensors")
    assert any("running_mean" in name for name in of_backbone(given))
    assert equal(of_backbone(saved), of_backbone(given))
    assert not equal(saved, given)


def test_an_encoder_thaws_in_the_middle_of_a_run(
    finetune_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[dict[str, torch.Tensor]] = []
    original = FinetuneJob.epoch_ended

    def noted(job: FinetuneJob, epoch: int, last: bool) -> Mapping[str, float]:
        states.append(owned(parts_state(job.module.predictor)))  # type: ignore[arg-type]
        return original(job, epoch, last)

    monkeypatch.setattr(FinetuneJob, "epoch_ended", noted)
    finetune(apply_overrides(finetune_table, ["task.freeze_encoder=0.5"]), tmp_path / "run")
    encoders = [of_backbone(state) for state in states]
    assert len(encoders) == 6  # of three steps each: 9 of the 18 steps are frozen
    assert equal(encoders[0], encoders[2])
    assert not equal(encoders[2], encoders[3])
    assert all(not equal(one, two) for one, two in itertools.pairwise(states))
