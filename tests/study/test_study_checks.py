"""What stops a study before it begins: changed data, damaged and missing files of finished runs."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from ssl_registry.errors import RunError
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import run_study
from ssl_registry.study.source import Source
from ssl_registry.weights.card import read_card

pytestmark = pytest.mark.usefixtures("calls")

RECORDED = "study_calls:recorded"
NOTHING = "study_calls:nothing"


@pytest.fixture
def busi(tiny_busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small dataset, to be written to."""
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "image-cache"))
    return Path(shutil.copytree(tiny_busi, tmp_path / "busi"))


@pytest.fixture
def on_busi(small: Callable[..., Source], busi: Path) -> Callable[..., Source]:
    """The small study on it, of one pre-training and two fine-tunings for each seed."""
    data = f'{{name="busi", root="{busi}"}}'
    return lambda *overrides: small(
        f"finetune.data={data}",
        f"pretrain.data=[{data}]",
        "axes.fraction=[1.0]",
        'without.method=["simclr"]',
        "executor.workers=1",
        *overrides,
    )


def test_old_and_new_data_are_not_mixed(
    on_busi: Callable[..., Source], busi: Path, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    image = busi / "benign" / "benign (1).png"
    before = image.read_bytes()
    with PillowImage.open(image) as opened:
        ImageOps.invert(opened.convert("L")).save(image)
    for seeds in ("[0]", "[0, 1]"):
        with pytest.raises(RunError, match=r"'busi' has changed since .* choose another --out"):
            run_study(on_busi(f"axes.seed={seeds}"), folder, call=RECORDED)
    image.write_bytes(before)
    rows = run_study(on_busi("axes.seed=[0, 1]"), folder, call=RECORDED)
    assert [row["status"] for row in rows] == ["done"] * 4
    assert not list(folder.runs.glob("*/doubled"))


def test_a_file_that_cannot_be_read_stops_it_and_no_run_is_given_up(
    on_busi: Callable[..., Source], busi: Path, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    image = busi / "benign" / "benign (1).png"
    before = image.read_bytes()
    image.write_bytes(before[:200])
    with pytest.raises(RunError, match=r"stopped at .*benign \(1\)\.png.*\nMend or remove"):
        run_study(on_busi("axes.seed=[0]"), folder)
    assert folder.failures() == {} and not list(folder.runs.glob("*/summary.json"))
    image.write_bytes(before)
    rows = run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    assert {row["status"] for row in rows} == {"done"}


def test_finished_runs_do_not_need_their_data(
    on_busi: Callable[..., Source], busi: Path, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    shutil.rmtree(busi)
    rows = run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    assert {row["status"] for row in rows} == {"done"}


def test_weights_that_somebody_removed_are_told(
    on_busi: Callable[..., Source], tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    rows = run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    (path,) = {folder.run(row["pretraining"]) for row in rows if row["pretraining"]}
    shutil.rmtree(path / "weights")
    run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)  # nobody needs them
    with pytest.raises(RunError, match=r"its weights are gone from .* remove that folder"):
        run_study(on_busi("axes.seed=[0, 1]"), folder, call=RECORDED)
    shutil.rmtree(path)
    rows = run_study(on_busi("axes.seed=[0, 1]"), folder, call=RECORDED)
    assert {row["status"] for row in rows} == {"done"}


def test_what_was_begun_from_other_weights_is_told(
    on_busi: Callable[..., Source], finetuned: Path, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "study")
    (row, *_) = (
        r for r in run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED) if r["pretraining"]
    )
    weights = folder.run(row["pretraining"]) / "weights"
    shutil.copytree(finetuned / "weights", weights, dirs_exist_ok=True)
    begun = folder.run(row["run"])
    (begun / "summary.json").unlink()
    record = json.loads((begun / "config.json").read_text())
    (begun / "config.json").write_text(json.dumps(record | {"initial_weights": "0" * 64}))
    with pytest.raises(RunError, match=rf"begun from other weights .* remove the folder {begun},"):
        run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    same = {"initial_weights": read_card(weights).sha256}
    (begun / "config.json").write_text(json.dumps(record | same))
    rows = run_study(on_busi("axes.seed=[0]"), folder, call=RECORDED)
    assert {row["status"] for row in rows} == {"done"}


@pytest.mark.parametrize("damage", ["", '{"test": ', "[]"])
def test_a_damaged_summary_is_told_and_mended_by_removal(
    small: Callable[..., Source], tmp_path: Path, damage: str
) -> None:
    folder, few = StudyFolder(tmp_path / "study"), ("axes.seed=[0]", "axes.fraction=[1.0]")
    run_study(small(*few), folder, call=NOTHING)
    (path, *_) = sorted(folder.runs.iterdir())
    (path / "summary.json").write_text(damage)
    with pytest.raises(RunError, match=rf"cannot read {path}/summary.json.*remove the folder"):
        run_study(small(*few), folder, call=NOTHING)
    shutil.rmtree(path)
    rows = run_study(small(*few), folder, call=NOTHING)
    assert {row["status"] for row in rows} == {"done"}


def test_a_damaged_note_of_a_failure_is_told(small: Callable[..., Source], tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    run_study(small("axes.seed=[2]"), folder, call="study_calls:fails")
    file = min((folder.path / "failures").iterdir())
    for damage in ("{", '{"attempts": 1}'):
        file.write_text(damage)
        with pytest.raises(RunError, match=rf"cannot read {file}.*remove it, and"):
            folder.failures()


STOPPED = """
import sys
from pathlib import Path
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import run_study
from ssl_registry.study.source import read_study
source = read_study(sys.argv[1], ["executor.workers=2"])
try:
    run_study(source, StudyFolder(Path(sys.argv[2])), call="study_calls:saves_when_asked")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_stopped_lets_its_workers_save(
    study_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "study"
    command = [sys.executable, "-c", STOPPED, str(study_file), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(list(out.glob("runs/*/begun"))) < 2:
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "write a checkpoint first" in said
    assert len(list(out.glob("runs/*/saved"))) == 2
    assert "missing" in (out / "rows.csv").read_text()
