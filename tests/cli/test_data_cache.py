"""`ssl-registry data cache list` and `clear`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli import data_cache as data_cache_module
from ssl_registry.cli.runner import runner
from ssl_registry.config.model import DatasetConfig
from ssl_registry.data.cache import CacheSettings, open_cache
from ssl_registry.file_lock import FileLock
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Sample


class Even(Dataset):
    info = DatasetInfo("none", "even", "CC0", "none", "none")
    stop = ""

    def samples(self) -> Sequence[Sample]:
        return [Sample(str(n)) for n in range(12)]

    def read_image(self, sample: Sample) -> Image:
        if sample.id == self.stop:
            raise KeyboardInterrupt
        return np.full((9, 9), int(sample.id), np.uint8)


def build(name: str, size: int, stop: str = "") -> None:
    dataset = Even(DatasetConfig(name=name))
    dataset.stop = stop
    open_cache(dataset, dataset.samples(), CacheSettings(size, 1, masks=False))


@pytest.fixture
def caches(private_cache: Path) -> Path:
    """Three finished caches, an interrupted one, and things that are no caches."""
    build("first", 8)
    build("first", 16)
    build("other", 8)
    with pytest.raises(KeyboardInterrupt):
        build("other", 16, stop="8")
    (private_cache / "downloads").mkdir()
    (private_cache / "downloads" / "x.zip").write_text("x")
    (private_cache / "note.txt").write_text("mine")
    return private_cache


def call(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(runner, ["data", "cache", *words], input="")
    assert result.exit_code == code, result.output
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in folder.iterdir() if "px" in path.name)


def test_list_tells_what_is_there(caches: Path) -> None:
    lines = call("list").stdout.splitlines()
    assert lines[0] == f"folder: {caches}"
    assert lines[1].split()[:6] == ["KEY", "DATASET", "SIZE", "CHANNELS", "MASKS", "IMAGES"]
    rows = [line.split() for line in lines[2:]]
    told = {(row[1], row[2], row[4], row[5], row[6], row[-1]) for row in rows}
    assert told == {
        ("first", "8", "1", "no", "12", "complete"),
        ("first", "16", "1", "no", "12", "complete"),
        ("other", "8", "1", "no", "12", "complete"),
        ("other", "16", "1", "no", "12", "interrupted"),
    }
    assert call().stdout == call("list").stdout


def test_list_as_json(caches: Path) -> None:
    entries = json.loads(call("list", "--json").stdout)
    assert len(entries) == 4
    for entry in entries:
        folder = Path(entry["folder"])
        assert entry["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
        assert folder.name.removesuffix(".part") == entry["key"]
        assert entry["idle_days"] < 0.1


def test_no_caches(private_cache: Path) -> None:
    assert call("list").stdout == f"folder: {private_cache}\nno caches\n"
    assert call("clear", "--all", "--yes").stdout == "no such caches; nothing was removed\n"


def test_clear_by_dataset(caches: Path) -> None:
    assert call("clear", "--dataset", "other", "--yes").stdout.startswith("removed 2 caches, ")
    assert names(caches) == ["first-16px", "first-8px"]


def test_clear_by_key(caches: Path) -> None:
    call("clear", "first-8px", "--yes")
    assert names(caches) == ["first-16px", "other-16px", "other-8px"]
    result = call("clear", "first-8px", "--yes", code=2)
    assert "no cache begins with 'first-8px'" in result.stderr


def test_clear_all_leaves_what_is_no_cache(caches: Path) -> None:
    call("clear", "--all", "--yes")
    assert sorted(path.name for path in caches.iterdir()) == ["downloads", "note.txt"]
    build("first", 8)


def test_clear_by_age_counts_from_the_last_use(caches: Path) -> None:
    old = time.time() - 10 * 86400
    for index in caches.glob("*/index.json"):
        os.utime(index, (old, old))
    build("first", 16)  # opens it
    call("clear", "--older-than", "9", "--yes")
    assert names(caches) == ["first-16px", "other-16px"]
    call("clear", "--older-than", "0", "--dataset", "other", "--yes")
    assert names(caches) == ["first-16px"]


def test_a_cache_that_is_being_built_stays(caches: Path) -> None:
    (part,) = caches.glob("*.part")
    lock = FileLock(part / ".lock")
    assert lock.take()
    assert "building" in call("list").stdout
    result = call("clear", "--dataset", "other", "--yes")
    assert f"{part.name.removesuffix('.part')} stays: a run is building it" in result.stderr
    assert result.stdout.startswith("removed 1 caches")
    assert (part / "images.npy").is_file()
    lock.release()


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 4)])
def test_clear_asks(caches: Path, answer: str, left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def agreed(question: str) -> bool:
        asked.append(question)
        return answer == "y\n"

    monkeypatch.setattr(data_cache_module, "_agreed", agreed)
    result = call("clear", "--all")
    assert asked == ["Remove 4 of them?"]
    assert "first-16px" in result.stderr
    assert len(names(caches)) == left


def test_clear_asks_nobody_without_a_terminal(caches: Path) -> None:
    result = call("clear", "--all", code=2)
    assert "say --yes" in result.stderr
    assert len(names(caches)) == 4


def test_clear_needs_to_know_what(caches: Path) -> None:
    assert "say which caches" in call("clear", code=2).stderr
    assert "not both" in call("clear", "first", "--all", code=2).stderr
    # A variable that is not set begins every key.
    assert "a KEY is empty" in call("clear", "", "--yes", code=2).stderr
    assert len(names(caches)) == 4


def test_damaged_caches_are_listed_and_removed(caches: Path) -> None:
    indices = sorted(caches.glob("*/index.json"))
    indices[0].write_text("{")
    indices[1].unlink()
    leftover = caches / ".first-8px-0.12345678.tmp"
    leftover.mkdir()
    (leftover / "images.npy").write_bytes(b"")
    states = [entry["state"] for entry in json.loads(call("list", "--json").stdout)]
    assert sorted(states) == ["complete", "damaged", "damaged", "damaged", "interrupted"]
    call("clear", "--all", "--yes")
    assert names(caches) == []
    assert not leftover.exists()


def test_folders_of_others_are_no_caches_whatever_they_hold(caches: Path) -> None:
    """The folder of the caches may be one that others use as well."""
    for name, file in (("site", "index.json"), ("arrays", "images.npy"), ("thesis.part", "1.tex")):
        (caches / name).mkdir()
        (caches / name / file).write_text("mine")
    assert len(json.loads(call("list", "--json").stdout)) == 4
    call("clear", "--all", "--yes")
    assert (caches / "site" / "index.json").read_text() == "mine"
    assert (caches / "arrays" / "images.npy").read_text() == "mine"
    assert (caches / "thesis.part" / "1.tex").read_text() == "mine"
