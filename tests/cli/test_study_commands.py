"""`ssl-registry study`: a whole one, for real, and what is said of it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli.runner import runner
from ssl_registry.cli.study import SOME_FAILED
from ssl_registry.evaluation.table import read_table


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(runner, ["study", *arguments])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The shipped smoke test with one seed and one share of the labels."""
    folder = tmp_path_factory.mktemp("study")
    out = folder / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_REGISTRY_CACHE", str(folder / "image-cache"))
        few = ["--set", "axes.seed=[3]", "--set", "axes.fraction=[0.5]", "--workers", "1"]
        return out, invoke("run", "smoke", "--out", str(out), *few)


def test_a_real_study(done: tuple[Path, Result]) -> None:
    out, result = done
    assert result.exit_code == 0, result.output
    assert "3 done, 0 failed, 0 missing" in result.stdout
    with (out / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["method"] for row in rows] == ["supervised", "moco", "simclr"]
    for row in rows:
        run = out / "runs" / row["run"]
        table = read_table(run / "metrics.csv")
        lesions = table[(table["size"] == "training") & ~table["empty_truth"]]
        assert float(row["dice/lesion"]) == pytest.approx(lesions["dice"].mean())
        assert row["steps"] == "12"
        assert row["pretraining_steps"] == ("" if row["method"] == "supervised" else "8")
        assert (run / "weights").is_dir() and not (run / "checkpoint").exists()
    assert "| supervised |" in (out / "report" / "report.md").read_text()


def test_status_and_report_of_it(done: tuple[Path, Result]) -> None:
    out, _ = done
    said = invoke("status", "smoke", "--out", str(out)).stdout.splitlines()
    assert said[2].split() == ["pre-trainings", "2", "2", "0", "0"]
    assert said[3].split() == ["fine-tunings", "3", "3", "0", "0"]
    result = invoke("report", "smoke", "--out", str(out))
    assert result.exit_code == 0 and "report.html" in result.stdout


def test_runs_that_failed_are_told_by_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "image-cache"))
    given = ["axes.seed=[3]", "axes.fraction=[0.001]", "without.method=['moco', 'simclr']"]
    sets = [word for text in given for word in ("--set", text)]
    result = invoke("run", "smoke", "--out", str(tmp_path / "smoke"), *sets, "--workers", "1")
    assert result.exit_code == SOME_FAILED, result.output
    assert "0 done, 1 failed, 0 missing" in result.stdout
    assert "larger than the set" in (tmp_path / "smoke" / "report" / "report.md").read_text()


def test_what_cannot_be_run() -> None:
    result = invoke("run", "paper-tabel-1")
    assert result.exit_code == 2 and "did you mean 'paper-table-1'" in result.stderr
    result = invoke("run", "nowhere.toml")
    assert result.exit_code == 2 and "cannot read the config" in result.stderr
    result = invoke("status", "smoke", "--out", "nowhere")
    assert result.exit_code == 2 and "holds no study" in result.stderr


@pytest.mark.slow
def test_an_estimate_begins_nothing(tmp_path: Path) -> None:
    out = tmp_path / "smoke"
    result = invoke("run", "smoke", "--out", str(out), "--dry-run", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "pre-trainings  2     2" in result.stdout and "disk: about" in result.stdout
    assert not out.exists()
