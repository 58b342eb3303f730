"""What a pre-training watches: right values, and no trace on what is trained."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_registry import PretrainConfig, pretrain
from ssl_registry.data.pool import ImagePool, load_pool
from ssl_registry.errors import ConfigError, DataError, TrainingError
from ssl_registry.training.collapse import GAUGE, CollapseWarning
from ssl_registry.training.device import choose_execution
from ssl_registry.training.pretrain import PretrainJob, build_job, build_trunk
from ssl_registry.training.randomness import seed_torch
from ssl_registry.training.undisturbed import undisturbed
from ssl_registry.training.validation_loss import ValidationLoss

METHODS: dict[str, dict[str, Any]] = {
    "simclr": {"projection_dim": 16},
    "moco": {"projection_dim": 8, "bn_splits": 4, "mask_same_image": True},
    "simsiam": {"projection_dim": 16, "hidden_dim": 16, "prediction_hidden_dim": 4},
}


def everything(root: Path) -> dict[str, Any]:
    """All that can be watched, every epoch or two."""
    data = {"name": "busi", "root": str(root)}
    return {
        "monitoring": {"validation_epochs": 1, "rank_epochs": 2, "rank_images": 20},
        "probes": [
            {"kind": "knn", "data": data, "k": 5, "every_epochs": 2},
            {"kind": "linear", "data": data, "part": "test", "folds": 2},
            {"kind": "segmentation", "data": data, "steps": 3, "every_epochs": 3},
        ],
    }


NOTHING = {"monitoring": {"validation_epochs": 0, "rank_epochs": 0}}


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def job_of(table: dict[str, Any], method: str = "simclr") -> tuple[PretrainJob, ImagePool]:
    table["method"] = {"name": method, **METHODS[method]}
    config = PretrainConfig.model_validate(table)
    pool = load_pool(config.data, config.parts, size=config.stored_size, channels=1)
    execution = choose_execution(config.training)
    return build_job(config, build_trunk(config), pool, 18, execution), pool


@pytest.mark.parametrize("method", list(METHODS))
def test_a_run_that_watches_everything_has_the_weights_of_one_that_watches_nothing(
    method: str, pretrain_table: dict[str, Any], tiny_busi: Path, tmp_path: Path
) -> None:
    pretrain_table["method"] = {"name": method, **METHODS[method]}
    watched = pretrain(pretrain_table | everything(tiny_busi), tmp_path / "watched")
    plain = pretrain(pretrain_table | NOTHING, tmp_path / "plain")
    first, second = (
        (run / "weights" / "model.safetensors").read_bytes() for run in (watched, plain)
    )
    assert first == second
    clocks = {"images_per_second"}
    for more, less in zip(rows(watched), rows(plain), strict=True):
        assert {k: v for k, v in less.items() if k not in clocks}.items() <= more.items()
    assert [row["epoch"] for row in rows(watched) if "effective_rank" in row] == [2, 4, 6]
    assert all(math.isfinite(row["validation/loss"]) for row in rows(watched))
    knn = "probe/busi-knn/balanced_accuracy"
    assert [row["epoch"] for row in rows(watched) if knn in row] == [2, 4, 6]
    dice = "probe/busi-segmentation/dice/lesion"
    assert [row["epoch"] for row in rows(watched) if dice in row] == [3, 6]
    linear = "probe/busi-linear/accuracy"
    assert [row["epoch"] for row in rows(watched) if linear in row] == [6]
    last = rows(watched)[-1]
    for key in (knn, dice, linear):
        assert 0 <= last[f"{key}/low"] <= last[key] <= last[f"{key}/high"] <= 1
        assert 0 <= last[f"{key}/random"] <= 1


def test_summary_and_report_tell_what_was_measured(
    pretrain_table: dict[str, Any], tiny_busi: Path, tmp_path: Path
) -> None:
    run = pretrain(pretrain_table | everything(tiny_busi), tmp_path / "run")
    summary, last = json.loads((run / "summary.json").read_text()), rows(run)[-1]
    knn = summary["probes"]["busi-knn"]
    assert knn["classes"] == ["benign", "malignant", "normal"]
    assert (knn["train_images"], knn["images"], knn["part"]) == (28, 4, "val")
    key = "probe/busi-knn/balanced_accuracy/random"
    assert knn["scores"]["balanced_accuracy/random"] == last[key]
    assert summary["validation_loss"] == last["validation/loss"]
    page = (run / "report.html").read_text()
    assert "Probe busi-knn: balanced_accuracy" in page
    assert "probe busi-knn, balanced_accuracy" in page and "random weights" in page


def state(job: PretrainJob) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in job.module.state_dict().items()}


@pytest.mark.parametrize("method", list(METHODS))
def test_the_validation_loss_is_that_of_the_method_in_eval_mode(
    method: str, pretrain_table: dict[str, Any]
) -> None:
    job, pool = job_of(pretrain_table, method)
    job.module.train()
    job.step(np.arange(8))
    job.module.after_step(0, committed=True)
    frozen = job.module.get_submodule("trunk")
    frozen.eval()
    before, generator = state(job), torch.get_rng_state()
    seen: list[list[int]] = []
    forward = job._forward

    def spied(images: Tensor, ids: Tensor, meta: Any) -> Any:
        assert not job.module.training and not torch.is_grad_enabled()
        seen.append(ids.tolist())
        return forward(images, ids, meta)

    validation = ValidationLoss.of(pool, 3, seed=0)
    assert isinstance(validation, ValidationLoss)
    measured = [validation.measure(job.module, spied, 2) for _ in range(2)]
    assert measured[0] == measured[1] and measured[0]["validation/batch_size"] == 3
    # The four held-out images are none of the 28 that are trained on.
    assert len(seen) == 2 and all(28 <= place < 32 for place in seen[0])
    assert torch.equal(torch.get_rng_state(), generator)
    assert job.module.training and not frozen.training
    assert all(torch.equal(before[name], tensor) for name, tensor in state(job).items())

    held_out = ImagePool(pool.members, ("val",))
    places = np.asarray(seen[0]) - 28
    job.module.eval()
    seed_torch(0, "validation", 0)
    with torch.no_grad():
        slow = forward(held_out.images(places), torch.tensor(seen[0]), held_out.meta(places))
    assert measured[0]["validation/loss"] == pytest.approx(float(slow.loss), rel=1e-6)


def test_batches_are_full_and_always_the_same(pretrain_table: dict[str, Any]) -> None:
    _, pool = job_of(pretrain_table)
    few, all_of_it = (ValidationLoss(pool, pool, size, seed=1) for size in (8, 100))
    assert [len(batch) for batch in few.batches(9)] == [8, 8, 8]
    assert [batch.tolist() for batch in few.batches(2)] == [b.tolist() for b in few.batches(9)[:2]]
    assert sorted(all_of_it.batches(4)[0].tolist()) == list(range(28))
    assert all_of_it.batch_size == 28


def test_metadata_are_told_in_the_words_of_training(
    pretrain_table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pool = job_of(pretrain_table)
    held_out = ImagePool(pool.members, ("val",))
    own = torch.tensor([1, 0, -1, 1])
    monkeypatch.setattr(held_out, "vocabulary", {"view": ("2ch", "4ch"), "new": ("x",)})
    monkeypatch.setattr(held_out, "meta", lambda _: {"view": own, "new": torch.zeros(4)})
    monkeypatch.setattr(pool, "vocabulary", {"view": ("4ch", "long"), "organ": ("heart",)})
    codes = ValidationLoss(held_out, pool, 4, seed=0)._codes
    assert {key: values.tolist() for key, values in codes.items()} == {
        "view": [0, -1, -1, 0],
        "organ": [-1, -1, -1, -1],
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"parts": ["train", "val"]}, "the part val is trained on"),
        ({"ratio": (0.8, 0.0, 0.2)}, "no images in val of busi"),
        ({"ratio": (0.8, 0.02, 0.18)}, "single image"),
    ],
)
def test_a_run_without_held_out_images_says_so(
    change: dict[str, Any],
    reason: str,
    pretrain_table: dict[str, Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "ratio" in change:
        pretrain_table["data"][0]["split"] = {"ratios": change["ratio"]}
    else:
        pretrain_table |= change
    pretrain_table["training"]["epochs"] = 1
    run = pretrain(pretrain_table, tmp_path / "run")
    (said,) = [line for line in capfd.readouterr().err.splitlines() if "validation loss" in line]
    assert said.startswith("no validation loss: ") and reason in said
    assert "validation/loss" not in rows(run)[0]
    assert reason in json.loads((run / "summary.json").read_text())["no_validation_loss"]
    assert reason in (run / "report.html").read_text()


def test_a_collapsed_run_is_stopped_or_warned_of_in_its_report(
    pretrain_table: dict[str, Any], tmp_path: Path
) -> None:
    # No spread is as high as 1, so that every step counts as collapsed.
    monitoring = {"collapse_threshold": 1.0, "collapse_steps": 4}
    with pytest.raises(TrainingError, match="after step 4 of 18: the outputs have collapsed"):
        pretrain(
            {**pretrain_table, "monitoring": {**monitoring, "on_collapse": "stop"}},
            tmp_path / "stopped",
        )
    assert [row["step"] for row in rows(tmp_path / "stopped")] == [3, 4]
    assert [path.name for path in (tmp_path / "stopped" / "checkpoint").iterdir()] == [
        "step-000000004"
    ]
    with pytest.warns(CollapseWarning, match="4 steps in a row") as said:
        run = pretrain({**pretrain_table, "monitoring": monitoring}, tmp_path / "warned")
    assert len([one for one in said if one.category is CollapseWarning]) == 1
    assert rows(run)[-1]["step"] == 18
    assert "the outputs have collapsed" in (run / "report.html").read_text()


def test_a_restored_job_warns_of_a_collapse_at_the_step_of_one_that_went_on(
    pretrain_table: dict[str, Any],
) -> None:
    pretrain_table["monitoring"] = {"collapse_threshold": 0.2, "collapse_steps": 4}
    whole, restored, later = (job_of(pretrain_table)[0] for _ in range(3))
    for spread in (0.9, 0.1, 0.1):
        whole.stepped({GAUGE: spread})
    restored.restore({}, json.loads(json.dumps(whole.numbers())))
    for job in (whole, restored):
        job.stepped({GAUGE: 0.1})  # the third in a row; a warning would be an error
        with pytest.warns(CollapseWarning, match="4 steps in a row"):
            job.stepped({GAUGE: 0.1})
    later.restore({}, json.loads(json.dumps(restored.numbers())))
    later.stepped({GAUGE: 0.1})  # said already
    warnings = [job.monitor.summary({})["warnings"] for job in (whole, restored, later)]
    assert len(warnings[0]) == 1 and warnings[0] == warnings[1] == warnings[2]


@pytest.mark.parametrize(
    ("probe", "error", "message"),
    [
        ({"kind": "knn", "k": 29}, DataError, "k = 29 is more than its 28 training images"),
        ({"kind": "linear", "folds": 20}, DataError, "too few for 20 folds"),
        ({"kind": "knn", "part": "train"}, ConfigError, "must be 'val' or 'test'"),
        ({"kind": "knn", "name": "a/b"}, ConfigError, "must match"),
        ({"kind": "ann"}, ConfigError, "'kind' must be one of 'knn', 'linear', 'segmentation'"),
        ({"kind": "knn", "neighbours": 3}, ConfigError, "unknown key"),
    ],
)
def test_probes_that_cannot_be_done_are_refused_before_training(
    probe: dict[str, Any],
    error: type[Exception],
    message: str,
    pretrain_table: dict[str, Any],
    tiny_busi: Path,
    tmp_path: Path,
) -> None:
    pretrain_table["probes"] = [{"data": {"name": "busi", "root": str(tiny_busi)}, **probe}]
    with pytest.raises(error, match=message):
        pretrain(pretrain_table, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_probes_of_one_name_are_refused(
    pretrain_table: dict[str, Any], tiny_busi: Path, tmp_path: Path
) -> None:
    probe = {"kind": "knn", "k": 5, "data": {"name": "busi", "root": str(tiny_busi)}}
    with pytest.raises(ConfigError, match="two probes are called 'busi-knn'"):
        pretrain({**pretrain_table, "probes": [probe, probe]}, tmp_path / "run")
    named = {**probe, "name": "other", "part": "test"}
    pretrain_table["training"]["epochs"] = 1
    run = pretrain({**pretrain_table, "probes": [probe, named]}, tmp_path / "run")
    assert "probe/other/accuracy" in rows(run)[0]


def test_undisturbed_puts_back_modes_buffers_and_generator_even_after_an_error() -> None:
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    module[1].eval()
    before, drawn = module[0].running_mean.clone(), torch.get_rng_state()
    with pytest.raises(RuntimeError, match="odd"), undisturbed(module):
        module[0].running_mean.add_(1)
        torch.rand(3)
        raise RuntimeError("odd")
    assert torch.equal(module[0].running_mean, before)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [part.training for part in module] == [True, False]
