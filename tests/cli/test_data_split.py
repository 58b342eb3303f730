"""`ssl-registry data split`."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli.runner import runner


def split(*words: str | Path) -> Result:
    return CliRunner().invoke(runner, ["data", "split", *map(str, words)])


def rows(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        return [(row["id"], row["split"]) for row in csv.DictReader(file)]


@pytest.fixture
def leaky_busi(tiny_busi: Path, tmp_path: Path) -> Path:
    """The tiny BUSI, where benign 2 to 9 are copies of benign 1."""
    root = tmp_path / "leaky"
    shutil.copytree(tiny_busi, root)
    for number in range(2, 10):
        for suffix in (".png", "_mask.png"):
            first = root / "benign" / f"benign (1){suffix}"
            shutil.copy(first, root / "benign" / f"benign ({number}){suffix}")
    return root


def test_split_is_shown_written_and_read_back(tiny_busi: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.csv"
    words = (f"busi={tiny_busi}", "--kind", "stratified", "--ratios", 2, 1, 1, "--seed", 3)
    result = split(*map(str, words), "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:5] == [
        "PART   IMAGES  SHARE    benign  malignant  normal",
        "train  20      50.0 %   8       7          5",
        "val    10      25.0 %   4       4          2",
        "test   10      25.0 %   4       3          3",
        "all    40      100.0 %  16      14         10",
    ]
    assert "no near-duplicates of training images in the other parts" in result.stdout
    assert f"written: {out}" in result.stdout
    assert Counter(part for _, part in rows(out)) == {"train": 20, "val": 10, "test": 10}

    again = tmp_path / "again.csv"
    result = split(f"busi={tiny_busi}", "--file", out, "--out", again, "--no-leaks")
    assert result.exit_code == 0, result.output
    assert "near-duplicates across the parts: not looked for" in result.stdout
    assert again.read_bytes() == out.read_bytes()
    other = tmp_path / "other.csv"
    split(*map(str, words[:-1]), "4", "--out", other, "--no-leaks")
    assert rows(other) != rows(out)


def test_leaks_are_told_and_grouping_mends_them(leaky_busi: Path) -> None:
    result = split(f"busi={leaky_busi}", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    copies = {f"benign ({n})" for n in range(1, 10)}
    assert record["leaks"]
    for leak in record["leaks"]:
        assert {leak["train"], leak["other"]} <= copies
        assert leak["relation"] == "identical"
    assert "near-duplicates among the training images" in split(f"busi={leaky_busi}").stdout

    result = split(f"busi={leaky_busi}", "--group-by", "duplicates", "--json")
    record = json.loads(result.stdout)
    assert record["leaks"] == []
    assert record["images"] == {"train": 28, "val": 4, "test": 8}
    assert sum(record["labels"]["train"].values()) == 28


def test_mistakes(tiny_busi: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken.csv"
    taken.write_text("id,split\n")
    result = split(f"busi={tiny_busi}", "--out", taken)
    assert result.exit_code == 2
    assert "is there already" in result.output
    result = split(f"busi={tiny_busi}", "--file", taken)
    assert result.exit_code == 2
    assert "lists 0 of the dataset's 40 samples" in result.output
    result = split(f"busi={tiny_busi}", "--file", taken, "--seed", "1")
    assert result.exit_code == 2
    assert "goes with none of the other options" in result.output
    result = split(f"busi={tiny_busi}", "--kind", "official")
    assert result.exit_code == 2
    assert "no official part" in result.output
    result = split(f"busi={tiny_busi}", "--ratios", "0", "1", "1")
    assert result.exit_code == 2
    assert "train needs a share" in result.output


def test_file_of_an_odd_name_replaces_the_recipe_of_a_config(
    tiny_busi: Path, tmp_path: Path
) -> None:
    odd = tmp_path / 'a "quoted" name, é.csv'
    assert split(f"busi={tiny_busi}", "--no-leaks", "--out", odd).exit_code == 0
    config = tmp_path / "data.toml"
    config.write_text(
        f'[data]\nname = "busi"\nroot = "{tiny_busi}"\n'
        '[data.split]\nkind = "stratified"\ngroup_by = "duplicates"\n'
    )
    result = split(config, "--no-leaks", "--file", odd)
    assert result.exit_code == 0, result.output
    assert "train  28" in result.stdout


def test_options_lay_over_the_default_recipe_of_the_dataset(
    tiny_busi: Path, tmp_path: Path
) -> None:
    """Of BUSI that is stratified: another seed is another draw of the same recipe."""
    plain, same, whole = (tmp_path / name for name in ("plain.csv", "same.csv", "whole.csv"))
    assert split(f"busi={tiny_busi}", "--no-leaks", "--out", plain).exit_code == 0
    assert split(f"busi={tiny_busi}", "--no-leaks", "--seed", "42", "--out", same).exit_code == 0
    assert rows(same) == rows(plain)
    words = ("--kind", "stratified", "--ratios", 7, 1, 2, "--seed", 5)
    assert split(f"busi={tiny_busi}", "--no-leaks", *map(str, words), "--out", whole).exit_code == 0
    other = tmp_path / "other.csv"
    assert split(f"busi={tiny_busi}", "--no-leaks", "--seed", "5", "--out", other).exit_code == 0
    assert rows(other) == rows(whole) != rows(plain)


def test_a_draw_may_replace_the_split_file_of_a_config(tiny_busi: Path, tmp_path: Path) -> None:
    file, config = tmp_path / "split.csv", tmp_path / "data.toml"
    assert split(f"busi={tiny_busi}", "--no-leaks", "--out", file).exit_code == 0
    config.write_text(
        f'[data]\nname = "busi"\nroot = "{tiny_busi}"\n'
        f'[data.split]\nkind = "file"\nfile = "{file}"\n'
    )
    result = split(config, "--no-leaks", "--ratios", "2", "1", "1")
    assert result.exit_code == 0, result.output
    assert "train  20" in result.stdout


def test_a_folder_that_is_not_named_is_not_the_current_one() -> None:
    result = split("busi=")
    assert result.exit_code == 2
    assert "busi= names no folder after the =" in result.output
