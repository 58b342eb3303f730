"""Checking a dataset: every way a release can be damaged is found and named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_registry.build import create
from ssl_registry.cli.data_argument import data_config
from ssl_registry.data.verify import Verification, count, verify
from ssl_registry.errors import DataError, DatasetNotFoundError
from ssl_registry.interfaces.dataset import Sample

TOTALS = {"images": 40, "masks": 40, "label/benign": 16, "label/malignant": 14, "label/normal": 10}


@pytest.fixture
def root(tiny_busi: Path, tmp_path: Path) -> Path:
    """A copy of the tiny release that a test may spoil."""
    return Path(shutil.copytree(tiny_busi, tmp_path / "busi"))


@pytest.fixture
def busi(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the dataset, whose release has the totals of the tiny one."""
    factory: Any = type(create("dataset", "busi"))
    release = replace(factory.info.release, totals=TOTALS)
    monkeypatch.setattr(factory, "info", replace(factory.info, release=release))
    return factory


def check(root: Path) -> Verification:
    return verify(data_config(f"busi={root}"))


def found(result: Verification) -> dict[str, int]:
    return {count.name: count.found for count in result.counts}


def kinds(result: Verification) -> list[tuple[str, str]]:
    return [(problem.kind, problem.sample) for problem in result.problems]


def test_a_whole_release(root: Path, busi: Any) -> None:
    result = check(root)
    assert result.ok
    assert result.problems == ()
    assert found(result) == TOTALS


def test_what_cannot_be_read_is_named(root: Path, busi: Any) -> None:
    torn = root / "benign" / "benign (3).png"
    torn.write_bytes(torn.read_bytes()[:-200])
    (root / "benign" / "benign (5)_mask.png").unlink()
    narrow = root / "malignant" / "malignant (2)_mask.png"
    Image.fromarray(np.zeros((20, 21), np.uint8)).save(narrow)
    (root / "normal" / "normal (10)_mask.png").write_bytes(b"no picture")
    result = check(root)
    assert not result.ok
    assert kinds(result) == [
        ("image", "benign (3)"),
        ("mask", "benign (5)"),
        ("mask", "malignant (2)"),
        ("mask", "normal (10)"),
    ]
    reasons = [problem.reason for problem in result.problems]
    assert str(torn) in reasons[0]
    assert "has no mask" in reasons[1]
    assert "21x20" in reasons[2]
    assert str(root / "normal" / "normal (10)_mask.png") in reasons[3]
    assert found(result) == TOTALS


def test_missing_images_are_seen_in_the_counts(root: Path, busi: Any) -> None:
    for stem in ("benign (16)", "normal (1)"):
        (root / stem.split()[0] / f"{stem}.png").unlink()
        (root / stem.split()[0] / f"{stem}_mask.png").unlink()
    result = check(root)
    assert not result.ok
    assert result.problems == ()
    wrong = {c.name: (c.found, c.expected) for c in result.counts if not c.ok}
    assert wrong == {
        "images": (38, 40),
        "masks": (38, 40),
        "label/benign": (15, 16),
        "label/normal": (9, 10),
    }


def test_a_label_that_is_gone_altogether(root: Path, busi: Any) -> None:
    shutil.rmtree(root / "normal")
    assert found(check(root))["label/normal"] == 0


def test_a_folder_that_cannot_be_listed_is_looked_at_all_the_same(root: Path, busi: Any) -> None:
    (root / "benign" / "benign (7).png").unlink()  # its mask stays, an orphan
    torn = root / "normal" / "normal (1).png"
    torn.write_bytes(torn.read_bytes()[:50])
    result = check(root)
    assert kinds(result) == [("files", ""), ("image", "normal (1)")]
    assert "benign (7)_mask.png" in result.problems[0].reason
    assert found(result)["images"] == 39


def test_skip_unreadable_hides_nothing(root: Path, busi: Any) -> None:
    (root / "benign" / "benign (7).png").unlink()
    config = data_config(f"busi={root}", ["skip_unreadable=true"])
    assert kinds(verify(config)) == [("files", "")]


def test_a_folder_that_can_never_be_listed(
    root: Path, busi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def samples(self: object) -> None:
        raise DataError("the list is torn")

    monkeypatch.setattr(busi, "samples", samples)
    result = check(root)
    assert [problem.reason for problem in result.problems] == ["the list is torn"]
    assert found(result) == dict.fromkeys(TOTALS, 0)


def test_ids_that_are_not_unique(root: Path, busi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = busi.samples

    def samples(self: Any) -> list[Sample]:
        return [*plain(self), *plain(self)[:2]]

    monkeypatch.setattr(busi, "samples", samples)
    result = check(root)
    assert kinds(result) == [("id", "benign (1)"), ("id", "benign (2)")]
    assert result.problems[0].reason == "2 images have the id 'benign (1)'"


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (None, "has no mask although the dataset says it has"),
        (np.full((4, 4), 2, np.uint8), "px, its image"),
        (np.zeros((1, 4, 4), np.uint8), "it must be [H, W]"),
    ],
)
def test_masks_against_the_contract(
    root: Path, busi: Any, mask: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busi, "read_mask", lambda self, sample: mask)
    result = check(root)
    assert len(result.problems) == 40
    assert all(p.kind == "mask" and reason in p.reason for p in result.problems)


def test_classes_beyond_those_declared(
    root: Path, busi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = busi.read_mask
    monkeypatch.setattr(busi, "read_mask", lambda self, sample: plain(self, sample) * 2)
    result = check(root)
    # The masks of the ten normal images are empty.
    assert len(result.problems) == 30
    assert all("beyond its 1 classes" in problem.reason for problem in result.problems)


def test_without_a_release_there_is_nothing_to_compare_with() -> None:
    config = data_config("phantom", ["images_per_organ=3", "size=48"])
    result = verify(config)
    assert result.ok
    assert found(result)["images"] == 9
    assert found(result)["masks"] == 3
    assert {count.expected for count in result.counts} == {None}
    assert "groups" not in found(result)


def test_the_wrong_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError):
        check(tmp_path)


def test_counting() -> None:
    samples = [
        Sample("a", label="x", group="p", split="test", has_mask=True),
        Sample("b", label="y", group="p", split="train"),
        Sample("c", label="x", group="q", split="train"),
        Sample("d"),
    ]
    counts = count(samples)
    assert counts == {
        "images": 4,
        "masks": 1,
        "groups": 2,
        "label/x": 2,
        "label/y": 1,
        "split/train": 2,
        "split/test": 1,
    }
    assert list(counts)[-2:] == ["split/train", "split/test"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["busi", "camus"])
def test_the_real_release(data_root: Path, name: str) -> None:
    result = verify(data_config(f"{name}={data_root / name}"))
    assert result.problems == ()
    assert {c.name: (c.found, c.expected) for c in result.counts if not c.ok} == {}
