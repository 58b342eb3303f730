"""Loops in two processes against loops in one: state, log, order, draws, and who writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ssl_registry.files import read_json
from ssl_registry.training.run_folder import RunFolder

# New processes find the modules by their names; pytest's importlib mode does not.
sys.path.insert(0, str(Path(__file__).parent))

from distributed_loop import CASES, EPOCHS, run_loops
from process_pair import in_processes

Rows = list[dict[str, Any]]


def log(folder: Path) -> Rows:
    rows = RunFolder(folder).read_log()
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def test_loops_of_two_processes_end_as_those_of_one(tmp_path: Path) -> None:
    run_loops(tmp_path / "one", apart=2)
    in_processes(run_loops, tmp_path / "two")
    for case in CASES:
        one, two = tmp_path / "one" / case, tmp_path / "two" / case
        check_state(case, load_file(one / "0.safetensors"), load_state(two))
        check_log(case, log(one / "0"), log(two / "0"))
        assert list((two / "1").iterdir()) == [], f"{case}: a second process wrote"
        facts = [read_json(two / f"{rank}.json") for rank in (0, 1)]
        check_deal(case, read_json(one / "0.json"), facts)
    different = [log(tmp_path / "two" / case / "0")[-1]["loss"] for case in ("together", "apart")]
    assert different[0] != pytest.approx(different[1], rel=1e-3)
    for case in ("one bad image", "one bad image in a window"):
        assert log(tmp_path / "two" / case / "0")[-1]["skipped"] == EPOCHS


def load_state(folder: Path) -> list[dict[str, Tensor]]:
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


def check_state(case: str, one: Mapping[str, Tensor], two: list[dict[str, Tensor]]) -> None:
    for name, value in one.items():
        assert torch.equal(two[0][name], two[1][name]), (case, name)
        if case == "in micro-batches":  # whose parts are others than those of one process
            continue
        near = torch.allclose(two[0][name].double(), value.double(), rtol=1e-9, atol=1e-12)
        assert near, (case, name)


def check_log(case: str, one: Rows, two: Rows) -> None:
    assert [row["step"] for row in two] == [row["step"] for row in one], case
    if case != "in micro-batches":
        for got, wanted in zip(two, one, strict=True):
            assert got == pytest.approx(wanted, rel=1e-6), case


def check_deal(case: str, one: Mapping[str, Any], two: list[Mapping[str, Any]]) -> None:
    """Every second image for each process, in the same order, and draws of its own."""
    if case.endswith("window"):  # in which steps are taken twice
        return
    whole = [image for batch in one["seen"] for image in batch]
    for rank, facts in enumerate(two):
        dealt = [image for batch in facts["seen"] for image in batch]
        assert dealt == whole[rank::2], (case, rank)
    draws = two[0]["drawn"] + two[1]["drawn"]
    assert len(set(draws)) == len(draws), case
    assert two[0]["drawn"] == one["drawn"], case
