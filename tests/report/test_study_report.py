"""The report of a study: its numbers against slow ones, its page in a real browser."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ssl_registry.cli.runner import runner
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.study import TAKEN
from ssl_registry.evaluation.table import read_table
from ssl_registry.provenance import resolved
from ssl_registry.report.study_markdown import study_markdown
from ssl_registry.report.study_pictures import report_pictures
from ssl_registry.report.study_report import headlines, warnings
from ssl_registry.study.cells import POLICIES
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.plan import Plan, PlannedRun, Row
from ssl_registry.study.report import study_report, study_results, write_report

sys.path.insert(0, str(Path(__file__).parent))

from browser import Browser, browser_program
from study_folders import made_up

STUDY = """
title = "Made up <b>& small</b>"
published = { name = "multi-organ-study", stands_for.architecture = { mine = "unet" } }
[finetune]
decoder = { name = "unet", widths = [4] }
data = { name = "phantom" }
[axes]
image_size = [32]
fraction = [1.0, 0.1]
seed = [0, 1, 2]
[axes.method.supervised]
pretraining = false
[axes.method.moco]
pretrain.method = "moco"
[axes.method.simclr]
pretrain.method = "simclr"
[axes.method.simsiam]
pretrain.method = "simsiam"
[axes.pretraining_data.BUS]
pretrain.data = [{ name = "phantom", organs = ["breast"] }]
[axes.pretraining_data.multi-organ]
pretrain.data = [{ name = "phantom" }]
[axes.architecture.mine]
pretrain.backbone = { name = "unet_encoder", widths = [4, 8] }
finetune.backbone = { name = "unet_encoder", widths = [4, 8] }
"""
PARTS = ("shares", "whole")
COLLAPSE = "The outputs have collapsed: their spread is 0.01."


def quality(run: PlannedRun) -> float | None:
    """MoCo on several organs helps; a pre-training failed, one fine-tuning too, some are left."""
    if run.kind == "pretrain":
        return None if "simsiam, BUS" in run.title else 1.0
    if "simclr, BUS" in run.title and run.config["seed"] == 1:
        return None
    if "simsiam" in run.title:
        left = run.config["fraction"] < 1 or "BUS" in run.title
        return math.nan if left else 0.5
    return 0.9 if "moco, multi-organ" in run.title else 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    place = tmp_path_factory.mktemp("study")
    (place / "made.toml").write_text(STUDY)
    return made_up(place / "made", str(place / "made.toml"), quality, warnings=(COLLAPSE,))


@pytest.fixture(scope="module")
def files(folder: StudyFolder) -> dict[str, Path]:
    return {file.name: file for file in write_report(folder)}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def by_hand(folder: StudyFolder, method: str, data: str, policy: str) -> np.ndarray:
    """Dice `[runs, images]` at 100 % of the labels, from the runs' tables, one by one."""
    runs = []
    for line in read_csv(folder.rows):
        key = (line["method"], line["pretraining_data"], line["fraction"], line["status"])
        if key != (method, data, "1.0", "done"):
            continue
        table = read_table(folder.run(line["run"]) / "metrics.csv")
        values = {}
        for row in table[table["size"] == "training"].to_dict("records"):
            both = row["empty_truth"] and row["empty_prediction"]
            if policy == "dice/all_empty1" or not row["empty_truth"]:
                values[row["id"]] = 1.0 if both else row["dice"]
        runs.append([values[name] for name in sorted(values)])
    return np.asarray(runs)


@pytest.mark.parametrize("policy", POLICIES)
def test_comparisons_are_those_of_scipy(
    folder: StudyFolder, files: dict[str, Path], policy: str
) -> None:
    from scipy.stats import wilcoxon

    lines = {
        (line["method"], line["pretraining_data"]): line
        for line in read_csv(files["comparisons.csv"])
        if line["fraction"] == "1.0" and line["policy"] == policy
    }
    base = by_hand(folder, "supervised", "none", policy).mean(axis=0)
    compared = {arm: line for arm, line in lines.items() if line["difference"]}
    assert set(compared) == {
        ("moco", "BUS"),
        ("moco", "multi-organ"),
        ("simclr", "BUS"),
        ("simclr", "multi-organ"),
        ("simsiam", "multi-organ"),
    }
    expected = {}
    for arm, line in compared.items():
        ours = by_hand(folder, *arm, policy)
        differences = (ours.mean(axis=0) - base).round(12)
        method = "approx" if (differences == 0).any() else "exact"
        expected[arm] = float(wilcoxon(differences, method=method).pvalue)
        assert float(line["mean"]) == pytest.approx(ours.mean(), abs=1e-4)
        assert float(line["difference"]) == pytest.approx(differences.mean(), abs=1e-4)
        assert float(line["median"]) == pytest.approx(np.median(differences), abs=1e-4)
        assert float(line["low"]) < float(line["mean"]) < float(line["high"])
        if method == "exact":
            assert float(line["p"]) == pytest.approx(expected[arm], rel=0.01)
        # Holm, step by step: multiplied by the number of p-values that are not smaller.
        p_values = [float(one["p"]) for one in compared.values()]
        steps = sorted(p_values)
        running = [min(1.0, max(steps[k] * (5 - k) for k in range(n + 1))) for n in range(5)]
        assert float(line["p Holm"]) == pytest.approx(
            running[steps.index(float(line["p"]))], rel=0.02
        )


def test_a_real_difference_is_found_and_none_is_made_up(files: dict[str, Path]) -> None:
    lines = [line for line in read_csv(files["comparisons.csv"]) if line["policy"] == "dice/lesion"]
    verdicts = {
        (line["method"], line["pretraining_data"]): line["verdict"]
        for line in lines
        if line["fraction"] == "1.0"
    }
    assert verdicts["moco", "multi-organ"] == "higher"
    assert verdicts["moco", "BUS"] == verdicts["simclr", "multi-organ"] == "neither"
    assert verdicts["simsiam", "BUS"] == verdicts["supervised", "none"] == ""


def test_means_over_methods_stand_beside_the_published(files: dict[str, Path]) -> None:
    cells = {
        (line["method"], line["pretraining_data"], line["fraction"]): line
        for line in read_csv(files["cells.csv"])
    }
    means = {
        (line["pre-trained on"], line["fraction"]): line for line in read_csv(files["means.csv"])
    }
    whole = means["multi-organ", "1.0"]
    three = [
        float(cells[method, "multi-organ", "1.0"]["dice/all_empty1 mean"])
        for method in ("moco", "simclr", "simsiam")
    ]
    assert float(whole["dice/all_empty1"]) == pytest.approx(np.mean(three), abs=1e-4)
    # Table A.7, U-Net at 32 px: 0.556.
    assert (whole["published table"], whole["published"]) == ("A.7", "0.556")
    assert float(whole["difference"]) == pytest.approx(np.mean(three) - 0.556, abs=1e-4)
    part = means["BUS", "1.0"]
    assert (part["methods"], part["methods done"], part["difference"]) == ("3", "2", "")


def test_half_a_study_says_what_is_missing(folder: StudyFolder, files: dict[str, Path]) -> None:
    report = study_report(study_results(folder))
    # Seven arms, two shares, three seeds; two of one seed failed and six of one pre-training;
    # three more are still to be done.
    assert headlines(report)[0] == (
        "This is part of the study: 31 of 42 lines of its table are done, 8 failed and 3 are still "
        "to be done."
    )
    told = warnings(report)
    assert f"{COLLAPSE} (5 runs, first pre-training moco, BUS, mine, 32 px)" in told
    text = files["report.md"].read_text()
    for part in (
        "its pre-training failed: RuntimeError: <b>no & memory</b>",
        "| missing | made, simsiam, multi-organ, mine, 32 px, 10 % | 0, 1, 2 | 0 |",
        "published cell in brackets",
        "`dice/lesion`",
        "fffffffffffffff",
        "2.15.0",
        "| moco, multi-organ, mine, 32 px | 63 |",
    ):
        assert part in text, part
    for name in re.findall(r"\]\((.+\.png)\)", text):
        assert files[name].read_bytes().startswith(b"\x89PNG")
    assert sum(name.startswith("curves-") for name in files) == 2


def test_no_axis_can_be_called_as_a_column(files: dict[str, Path]) -> None:
    axes = {"method", "pretraining_data", "architecture", "image_size", "fraction", "seed"}
    tables = ("cells.csv", "comparisons.csv", "means.csv")
    names = {name for table in tables for name in read_csv(files[table])[0]}
    names |= set(read_csv(files["cells.csv"].parents[1] / "rows.csv")[0])
    plain = {name for name in names if name.isidentifier()}
    assert len(plain) > 20 and plain - axes <= TAKEN


def test_parts_that_have_not_the_same_axes(tmp_path: Path) -> None:
    (tmp_path / "shares.toml").write_text(STUDY)
    (tmp_path / "whole.toml").write_text(STUDY.replace("fraction = [1.0, 0.1]\n", ""))
    names = [str(tmp_path / name) for name in ("shares.toml", "whole.toml")]
    (tmp_path / "both.toml").write_text(f"title = 'Both'\ninclude = {names}\n")
    folder = made_up(tmp_path / "both", str(tmp_path / "both.toml"), lambda run: 0.7)
    files = {file.name: file for file in write_report(folder)}
    lines = read_csv(files["cells.csv"])
    of_part = {name: {x["fraction"] for x in lines if x["study"] == name} for name in PARTS}
    assert of_part == {"shares": {"1.0", "0.1"}, "whole": {""}}
    assert "| result |" in files["report.md"].read_text()


def test_a_pretraining_that_was_done_again_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY)
    folder = made_up(tmp_path / "s", str(tmp_path / "s.toml"), lambda run: 0.7)
    plan = folder.plan()
    needs = next(run.needs for run in plan.runs.values() if run.needs)
    for run in plan.runs.values():
        file = folder.run(run.id) / "config.json"
        digest = "1" * 64 if run.needs != needs or run.config["seed"] else "2" * 64
        start = digest if run.needs else ""
        file.write_text(json.dumps(json.loads(file.read_text()) | {"initial_weights": start}))
    told = [text for text in warnings(study_report(study_results(folder))) if "again" in text]
    assert len(told) == 2
    assert any("weights 1 of 2 (2 runs" in text for text in told)  # seed 0 of two shares
    assert any("weights 2 of 2 (4 runs" in text for text in told)


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(STUDY)
    folder = made_up(tmp_path / "s", str(tmp_path / "s.toml"), lambda run: math.nan)
    names = [file.name for file in write_report(folder)]
    assert "report.html" in names and not [n for n in names if n.endswith(".png")]
    assert "0 of 42 lines" in (folder.path / "report" / "report.html").read_text()
    assert "Curves:" not in (folder.path / "report" / "report.md").read_text()


@pytest.fixture(scope="module")
def with_masks(finetuned: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study of two arms, whose runs are the same real one."""
    folder = StudyFolder(tmp_path_factory.mktemp("masks") / "study")
    record = json.loads((finetuned / "config.json").read_text())
    config = resolved(validate(FinetuneConfig, record["config"], "run"))
    before = PlannedRun("p", "pretrain", {}, (), "", "pre-training moco", "moco", True)
    runs = [
        PlannedRun(name, "finetune", config, (), needs, f"fine-tuning {name}", name, True)
        for name, needs in (("supervised", ""), ("moco", "p"))
    ]
    rows = tuple(Row("s", {"method": run.id, "fraction": 1.0, "seed": 0}, run.id) for run in runs)
    folder.begin("", Plan("With masks", {run.id: run for run in (before, *runs)}, rows))
    for run in runs:
        shutil.copytree(finetuned, folder.run(run.id))
    return folder


def test_galleries_show_the_same_images_of_all_arms(
    with_masks: StudyFolder, finetuned: Path
) -> None:
    gallery = study_report(study_results(with_masks)).panels[0].gallery
    assert gallery is not None and gallery.absent == ()
    assert {item.label for item in gallery.items} == {"benign", "malignant", "normal"}
    table = read_table(finetuned / "metrics.csv")
    native = table[table["size"] == "native"].set_index("id")
    for item in gallery.items:
        assert list(item.predictions) == list(item.dice) == ["supervised", "moco"]
        counts = native.loc[item.id]
        assert int(item.predictions["moco"].sum()) == counts["tp"] + counts["fp"]
        assert int(item.truth.sum()) == counts["tp"] + counts["fn"]
        assert np.array_equal(item.dice["moco"], counts["dice"], equal_nan=True)


@pytest.fixture(scope="module")
def page_with_masks(with_masks: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_report(with_masks)
    page = with_masks.path / "report" / "report.html"
    return Path(shutil.copy(page, tmp_path_factory.mktemp("page") / "report.html"))


def test_without_images_none_is_left(with_masks: StudyFolder, page_with_masks: Path) -> None:
    (old,) = (with_masks.path / "report").glob("gallery-*.png")
    assert old.read_bytes().startswith(b"\x89PNG")
    page = page_with_masks.read_text()
    assert "data:image/jpeg" in page and "its bar the interval that stands in brackets" in page
    call = ["study", "report", "s.toml", "--out", str(with_masks.path), "--no-images"]
    result = CliRunner().invoke(runner, call)
    assert result.exit_code == 0 and "gallery" not in result.stdout
    assert not old.exists()
    assert "data:image/jpeg" not in (with_masks.path / "report" / "report.html").read_text()


def test_the_markdown_says_which_networks_drew_the_masks(with_masks: StudyFolder) -> None:
    kept = with_masks.run("moco") / "weights"
    gone = kept.rename(kept.with_name("elsewhere"))
    try:
        report = study_report(study_results(with_masks))
    finally:
        gone.rename(kept)
    titles = {name: picture.title for name, picture in report_pictures(report).items()}
    text = study_markdown(report, titles)
    assert re.search(r"!\[Test images, truth and predictions: .*100 % of the labels\]\(", text)
    assert "No finished run keeps weights of: moco." in text
    assert "its bar the 95 % percentile interval" in text


def test_data_that_are_gone_cost_only_the_gallery(
    with_masks: StudyFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = with_masks.run("moco") / "config.json"
    kept = file.read_text()
    record = json.loads(kept)
    record["data"][0]["fingerprint"] = "other"
    file.write_text(json.dumps(record))
    try:
        gallery = study_report(study_results(with_masks)).panels[0].gallery
    finally:
        file.write_text(kept)
    assert gallery is not None and not gallery.items
    assert "are not those it was trained on" in gallery.absent[0]


PICTURES = """
(async () => {
  document.querySelectorAll('details').forEach(one => one.open = true);
  const shown = [...document.querySelectorAll('img, image')];
  await Promise.all(shown.map(one => one.decode()));
  return shown.filter(one => one.tagName != 'IMG' || one.naturalWidth > 0).length;
})()
"""


def test_page_in_a_browser(files: dict[str, Path], page_with_masks: Path, tmp_path: Path) -> None:
    program = browser_program()
    if program is None:
        pytest.skip("no Chromium is installed (Debian: chromium)")
    pages = {"Made up <b>& small</b>": files["report.html"], "With masks": page_with_masks}
    with Browser(program, tmp_path / "profile") as browser:
        for heading, page in pages.items():
            for width in (1400, 390):
                browser.open(page, width)
                assert browser.value("document.querySelector('h1').textContent") == heading
                # With what is folded, and with all of it open.
                assert browser.value("document.documentElement.scrollWidth") <= width
                assert browser.value(PICTURES) >= 2
                assert browser.value("document.documentElement.scrollWidth") <= width
                assert browser.errors() == []
                assert browser.requested() == [page.absolute().as_uri()]
