"""Expansion of axes into runs, against counts and configs worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.study import NONE
from ssl_registry.errors import ComponentNotFoundError, ConfigError, RunError
from ssl_registry.registry import Found, components
from ssl_registry.study.expand import plan_study
from ssl_registry.study.plan import Plan
from ssl_registry.study.source import read_study


def plan_of(path: Path, text: str, *overrides: str) -> Plan:
    path.write_text(text)
    return plan_study(read_study(str(path), list(overrides)))


def test_pretrainings_are_shared_and_the_baseline_has_none(small: Any) -> None:
    plan = plan_study(small())
    assert (plan.count("pretrain"), plan.count("finetune"), len(plan.rows)) == (2, 18, 18)
    by_method: dict[str, set[str]] = {}
    for row in plan.rows:
        by_method.setdefault(str(row.axes["method"]), set()).add(plan.runs[row.run].needs)
    assert by_method["supervised"] == {""}
    assert len(by_method["moco"]) == len(by_method["simclr"]) == 1
    assert by_method["moco"] != by_method["simclr"]
    runs = [row.run for row in plan.rows]
    assert len(set(runs)) == len(runs)
    ids = list(plan.runs)
    assert all(not r.needs or ids.index(r.needs) < ids.index(r.id) for r in plan.runs.values())
    assert Plan.from_json(json.loads(json.dumps(plan.to_json())), "it") == plan


def test_ids_depend_on_what_is_computed_and_nothing_else(small: Any) -> None:
    plan = plan_study(small())
    same = plan_study(
        small("pretrain.training.threads=1", "attempts=1", "executor.workers=2", "title=other")
    )
    assert list(same.runs) == list(plan.runs)
    other = plan_study(small("pretrain.training.steps=5"))
    changed = {row.run for row in other.rows} - {row.run for row in plan.rows}
    # Fine-tunings of other weights are other runs; the baseline is as before.
    assert len(changed) == 12


def test_a_run_says_all_that_decides_it(small: Any) -> None:
    plan = plan_study(small())
    row = next(r for r in plan.rows if r.axes["method"] == "moco" and r.axes["seed"] == 2)
    run = plan.runs[row.run]
    config = FinetuneConfig.model_validate(run.config)
    assert (config.seed, config.fraction, config.image_size) == (2, 1.0, 32)
    assert config.scope == "encoder"
    before = PretrainConfig.model_validate(plan.runs[run.needs].config)
    assert (before.method.name, before.image_size, before.training.steps) == ("moco", 32, 4)
    assert run.title == "fine-tuning moco, 32 px, 100 %, seed 2"


def test_the_scope_decides_what_is_pretrained(small: Any) -> None:
    plan = plan_study(small('axes.scope=["encoder", "encoder_decoder"]', "axes.seed=[0]"))
    assert (plan.count("pretrain"), plan.count("finetune")) == (4, 10)
    for row in plan.rows:
        run = plan.runs[row.run]
        if row.axes["method"] == "supervised":
            assert row.axes["scope"] == NONE
            continue
        decoder = plan.runs[run.needs].config["decoder"]
        assert run.config["scope"] == row.axes["scope"]
        assert decoder == (run.config["decoder"] if row.axes["scope"] != "encoder" else None)


def test_seeds_of_pretrainings_are_no_seeds_of_the_baseline(small: Any) -> None:
    plan = plan_study(small("axes.pretrain_seed=[0, 7]"))
    assert (plan.count("pretrain"), plan.count("finetune")) == (4, 2 * 2 * 2 * 3 + 2 * 3)


def test_settings_of_a_dataset_reach_every_use_of_it(small: Any, tmp_path: Path) -> None:
    source = small()
    text = source.text + (
        "[axes.split.plain]\n[axes.split.grouped]\ndata.phantom.split.group_by = 'duplicates'\n"
    )
    plan = plan_of(tmp_path / "s.toml", text)
    for row in plan.rows:
        run = plan.runs[row.run]
        wanted = "duplicates" if row.axes["split"] == "grouped" else "none"
        assert run.config["data"]["split"]["group_by"] == wanted
        if run.needs:
            (data,) = plan.runs[run.needs].config["data"]
            assert data["split"]["group_by"] == wanted
    with pytest.raises(ComponentNotFoundError, match=r"did you mean 'phantom'"):
        plan_of(tmp_path / "s.toml", text.replace("data.phantom", "data.phantm"))


def test_a_value_may_be_for_some_others_only_or_left_out(small: Any, tmp_path: Path) -> None:
    text = (
        small().text + "[axes.method.simsiam]\npretrain.method = 'simsiam'\nonly.fraction=[0.5]\n"
    )
    plan = plan_of(tmp_path / "s.toml", text)
    assert {r.axes["fraction"] for r in plan.rows if r.axes["method"] == "simsiam"} == {0.5}
    assert len(plan.rows) == 18 + 3
    fewer = plan_of(tmp_path / "s.toml", text, 'without.method=["moco", "simclr"]')
    assert {row.axes["method"] for row in fewer.rows} == {"supervised", "simsiam"}


def test_an_arm_from_given_weights(small: Any, tmp_path: Path, finetuned: Path) -> None:
    text = small().text + "[axes.method.given]\nweights = ''\n"
    without = plan_of(tmp_path / "s.toml", text)
    assert len(without.rows) == 18
    assert "--set axes.method.given.weights=FOLDER" in without.left_out[0]
    weights = finetuned / "weights"
    plan = plan_of(tmp_path / "s.toml", text, f"axes.method.given.weights={weights}")
    given = [plan.runs[row.run] for row in plan.rows if row.axes["method"] == "given"]
    assert len(given) == 6
    assert all(run.config["weights"] == str(weights) and not run.needs for run in given)
    baseline = {row.run for row in plan.rows if row.axes["method"] == "supervised"}
    assert not baseline & {run.id for run in given}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("axes.seeds=[1]", r"axes\.seeds: unknown key \(did you mean 'seed'\?\)"),
        ("axes.seed=[1, 1]", "names a value twice"),
        ("axes.seed=[]", "1 or more"),
        ("axes.method.moco.pretrain.method.name=mocco", "did you mean 'moco'"),
        ("finetune.seed=3", r"finetune\.seed is decided by the axes"),
        ("axes.method.moco.only.size=[32]", "there is no axis 'size'"),
        ('axes.method.moco.only.method=["mocco"]', r"only\.method: there is no value 'mocco'"),
        ("axes.method.none.pretraining=false", "a value cannot be called 'none'"),
        ("axes.other.steps.short.pretrain.training.steps=3", "'steps' is no name for a further"),
        ("axes.other.mean.a.pretrain.training.steps=3", "'mean' is no name for a further axis"),
        ("without.sead=[0]", "there is no such axis"),
        ('without.method=["mocco"]', r"no value 'mocco' \(did you mean 'moco'\?\); there is sup"),
        ("without.fraction=[0.25]", r"there is no value 0\.25.*there is 1\.0, 0\.5"),
        ("without.seed=[0, 1, 2]", "has no run"),
        ("finetune.backbone=resnet18", "is not the one that is pre-trained"),
        ("finetune.normalization.mean=[0.5]", "normalization"),
        ("finetune.training.stepps=3", "stepps"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(small: Any, override: str, message: str) -> None:
    overrides = [override]
    if "normalization" in override:
        overrides.append("finetune.normalization.std=[0.5]")
    with pytest.raises((ConfigError, ComponentNotFoundError), match=message):
        plan_study(small(*overrides))


def test_a_study_of_studies(small: Any, study_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(study_file.read_text().replace("[32]", "[48]"))
    both = f"title = 'Both'\ninclude = ['{study_file}', '{other}']\n[axes]\nseed = [5]\n"
    plan = plan_of(tmp_path / "both.toml", both)
    assert plan.title == "Both"
    assert [row.study for row in plan.rows] == ["small"] * 6 + ["other"] * 6
    assert {row.axes["seed"] for row in plan.rows} == {5}
    assert {row.axes["image_size"] for row in plan.rows} == {32, 48}
    assert sum(run.keep_weights for run in plan.runs.values()) == len(plan.runs)
    every = both.replace("[5]", "[5, 6]")
    kept = plan_of(tmp_path / "both.toml", every, 'keep_weights="none"')
    assert {run.kind for run in kept.runs.values() if run.keep_weights} == {"pretrain"}
    (tmp_path / "site").mkdir()
    same = tmp_path / "site" / "small.toml"
    same.write_text(other.read_text())
    with pytest.raises(ConfigError, match="two studies called 'small'"):
        plan_of(tmp_path / "both.toml", both.replace(str(other), str(same)))
    # What is in one part only may be left out of all.
    fewer = plan_of(tmp_path / "both.toml", both, "without.image_size=[48]")
    assert [row.study for row in fewer.rows] == ["small"] * 6
    (tmp_path / "round.toml").write_text(f"title='r'\ninclude=['{tmp_path / 'round.toml'}']\n")
    with pytest.raises(ConfigError, match="include goes round"):
        read_study(str(tmp_path / "round.toml"))


def test_a_study_is_kept_with_what_was_laid_over_it(small: Any, study_file: Path) -> None:
    assert small().text == study_file.read_text()
    text = small("axes.seed=[0,\n1]", "title=other").text
    assert text.startswith(study_file.read_text())
    assert text.endswith(
        "\n\n# Laid over this file:\n# --set axes.seed=[0, 1]\n# --set title=other\n"
    )
    before = plan_study(small("axes.seed=[0, 1]")).rows
    study_file.write_text(text)
    assert plan_study(small("axes.seed=[0, 1]")).rows == before


def test_a_run_in_two_places_keeps_its_weights_if_either_wants_them(
    small: Any, study_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(study_file.read_text().replace("[0, 1, 2]", "[1, 0]"))
    both = f"title = 'Both'\ninclude = ['{study_file}', '{other}']\n"
    plan = plan_of(tmp_path / "both.toml", both)
    assert (plan.count("finetune"), len(plan.rows)) == (18, 30)
    for run in plan.runs.values():
        if run.kind == "finetune":
            assert run.keep_weights == (run.config["seed"] in (0, 1))


def test_the_order_of_a_file_is_no_matter(small: Any, tmp_path: Path) -> None:
    text = small().text
    head, *methods = text.split("[axes.method.")
    turned = "[axes.method.".join((head, *reversed(methods)))
    turned = turned.replace("[0, 1, 2]", "[2, 0, 1]").replace("[1.0, 0.5]", "[0.5, 1.0]")
    turned = turned.replace(
        "{ steps = 4, batch_size = 16, device", "{ batch_size = 16, steps = 4, device"
    )
    assert turned != text
    assert plan_of(tmp_path / "s.toml", turned).runs.keys() == plan_study(small()).runs.keys()


def test_other_versions_of_a_component_are_other_runs(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plan_study(small())
    provenance = Found.provenance

    def newer(found: Found) -> dict[str, str]:
        facts = provenance(found)
        return {**facts, "version": "99"} if found.component.name == "moco" else facts

    monkeypatch.setattr(Found, "provenance", newer)
    after = plan_study(small())
    rows = zip(before.rows, after.rows, strict=True)
    assert all((a.run == b.run) == (a.axes["method"] != "moco") for a, b in rows)


def test_no_plan_is_refused() -> None:
    with pytest.raises(RunError, match="it is no plan of a study"):
        Plan.from_json({"title": "x"}, "it")


PAPER = {
    f"paper-table-{number}": (12, 520, architecture, size)
    for number, architecture, size in (
        (1, "resnet50-unet", 32),
        (2, "resnet50-unet", 64),
        (3, "unet", 32),
        (4, "unet", 50),
    )
}
BATCHES = {
    32: {"simclr": 512, "moco": 256, "simsiam": 512},
    50: {"simclr": 256, "moco": 64, "simsiam": 512},
    64: {"simclr": 256, "moco": 64, "simsiam": 512},
}


@pytest.mark.parametrize("name", PAPER)
def test_the_shipped_tables_are_those_of_the_paper(name: str) -> None:
    pretrainings, finetunings, architecture, size = PAPER[name]
    plan = plan_study(read_study(name))
    assert (plan.count("pretrain"), plan.count("finetune")) == (pretrainings, finetunings)
    for run in plan.runs.values():
        assert run.config["image_size"] == size
        assert run.config["normalization"]["mean"] == [0.485, 0.456, 0.406]
        whole = architecture == "unet"
        if run.kind == "pretrain":
            method = run.config["method"]["name"]
            assert run.config["training"]["batch_size"] == BATCHES[size][method]
            assert (run.config["decoder"] is not None) == whole
        else:
            assert run.config["training"]["optimizer"]["learning_rate"] == 1e-4
            assert run.config["scope"] == ("encoder_decoder" if whole and run.needs else "encoder")
    natural = "CIFAR-10" if size == 32 else "mini-ImageNet"
    sets = {row.axes["pretraining_data"] for row in plan.rows}
    assert sets == {natural, "BUS", f"BUS+{natural}", "multi-organ", NONE}


def test_all_shipped_studies_expand() -> None:
    names = [found.component.name for found in components("study")]
    assert {*PAPER, "paper-all", "paper-recommended", "smoke"} <= set(names)
    every = plan_study(read_study("paper-all"))
    assert (every.count("pretrain"), every.count("finetune")) == (48, 2080)
    recommended = plan_study(read_study("paper-recommended"))
    assert recommended.count("pretrain") == 48 * 3
    steps = {run.config["training"]["steps"] for run in recommended.runs.values()}
    assert steps == {20000, 3400}
