"""`ssl-registry data duplicates`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image as PillowImage

from ssl_registry.cli.runner import runner


def duplicates(*words: str | Path) -> Result:
    return CliRunner().invoke(runner, ["data", "duplicates", *map(str, words)])


@pytest.fixture
def root(tiny_busi: Path, tmp_path: Path) -> Path:
    """The tiny BUSI; benign 3 is a copy of malignant 5, and benign 4 a mirrored one."""
    root = tmp_path / "with <odd> & name"
    shutil.copytree(tiny_busi, root)
    first = np.asarray(PillowImage.open(root / "malignant" / "malignant (5).png"))
    for number, copy in ((3, first), (4, first[:, ::-1])):
        PillowImage.fromarray(copy).save(root / "benign" / f"benign ({number}).png")
        mask = root / "benign" / f"benign ({number})_mask.png"
        PillowImage.fromarray(np.zeros_like(copy)).save(mask)
    return root


def test_pairs_are_printed(root: Path) -> None:
    result = duplicates(f"busi={root}")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "images: 40\n"
        "pairs: 3\n"
        "clusters: 1\n"
        "images in clusters: 3\n"
        "largest cluster: 3\n"
        "pairs across labels: 2\n"
        "\n"
        "near-duplicates:\n"
        "SCORE  RELATION        IMAGE                     IMAGE\n"
        "1.000  identical       busi: benign (3)  benign  busi: malignant (5)  malignant\n"
        "0.993  copy, mirrored  busi: benign (3)  benign  busi: benign (4)     benign\n"
        "0.993  copy, mirrored  busi: benign (4)  benign  busi: malignant (5)  malignant\n"
    )
    upright = duplicates(f"busi={root}", "--no-flips")
    assert "pairs: 1\n" in upright.stdout


def test_table_and_page_are_written(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = duplicates(f"busi={root}", "--out", out, "--set", "split.seed=1")
    assert result.exit_code == 0, result.output
    assert f"written: {out}" in result.stdout
    table = pd.read_csv(out / "duplicates.csv", keep_default_na=False)
    assert len(table) == 3
    assert set(table["cluster"]) == {"benign (3)"}
    assert set(table["part_a"]) | set(table["part_b"]) <= {"train", "val", "test"}
    assert table["score"].is_monotonic_decreasing
    page = (out / "duplicates.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 6
    assert page.count("<svg") == 6
    assert "benign (3)" in page
    assert not re.search(r'(src|href)="http', page)


def test_across_sets(root: Path, tiny_busi: Path) -> None:
    result = duplicates(f"busi={root}", f"busi={tiny_busi}", "--between", "sets", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["summary"]["images"] == 80
    names = {(row["dataset_a"], row["dataset_b"]) for row in found["pairs"]}
    assert names == {("busi#1", "busi#2")}
    # 38 images are in both sets, and the two copies resemble the other set's malignant 5.
    assert len(found["pairs"]) == 40
    assert {row["within_group"] for row in found["pairs"]} == {False}


def test_mistakes(root: Path, tmp_path: Path) -> None:
    assert duplicates("nowhere").exit_code == 2
    (root / "benign" / "benign (7).png").write_bytes(b"no picture")
    out = tmp_path / "none"
    result = duplicates(f"busi={root}", "--out", out)
    assert result.exit_code == 2
    assert "benign (7)" in result.output
    assert not out.exists()
    result = duplicates(f"busi={root}", "--set", "skip_unreadable=true")
    assert result.exit_code == 0, result.output
    assert "pairs: 3\n" in result.stdout


def test_a_folder_that_is_there_stays(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    result = duplicates(f"busi={root}", "--out", out)
    assert result.exit_code == 2
    assert f"{out} is there already" in result.output
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("between", ["sets", "parts"])
def test_a_search_that_can_find_nothing_is_refused(root: Path, between: str) -> None:
    result = duplicates(f"busi={root}", "--between", between)
    assert result.exit_code == 2
    assert f"there are no different {between}" in result.output


def test_a_table_without_pairs_has_its_columns(tiny_busi: Path, root: Path, tmp_path: Path) -> None:
    tables = []
    for data in (tiny_busi, root):
        out = tmp_path / f"of-{data.name}"
        assert duplicates(f"busi={data}", "--no-flips", "--out", out).exit_code == 0
        tables.append(pd.read_csv(out / "duplicates.csv", keep_default_na=False))
    none, some = tables
    assert (len(none), len(some)) == (0, 1)
    row = json.loads(duplicates(f"busi={root}", "--no-flips", "--json").stdout)["pairs"][0]
    assert list(none) == list(some) == list(row)
    assert some.iloc[0]["id_a"] == row["id_a"]
