from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssl_registry.errors import RunError
from ssl_registry.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def checkpoint(value: float) -> Checkpoint:
    shared = torch.full((2, 3), value)
    tensors = {"module": {"a": shared, "view": shared.t(), "count": torch.tensor(3)}, "job": {}}
    return Checkpoint(tensors, {"step": int(value), "text": "x"})


def test_round_trip_keeps_values_types_and_empty_groups(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.state == {"step": 1, "text": "x"}
    assert set(loaded.tensors) == {"module", "job"}
    assert not loaded.tensors["job"]
    assert torch.equal(loaded.tensors["module"]["view"], torch.ones(3, 2))
    assert loaded.tensors["module"]["count"].dtype == torch.int64


def test_nothing_there(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint") is None


def test_a_newer_one_replaces_the_older(tmp_path: Path) -> None:
    for step in (9, 10, 1_000_000_001):
        save_checkpoint(tmp_path, step, checkpoint(step))
        loaded = load_checkpoint(tmp_path)
        assert loaded is not None
        assert loaded.state["step"] == step
        assert len(list(tmp_path.iterdir())) == 1


def test_a_kill_while_writing_leaves_the_older_usable(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    whole = (tmp_path / "step-000000001" / "module.safetensors").read_bytes()
    half = tmp_path / ".step-000000002.0123abcd.tmp"
    half.mkdir()
    (half / "module.safetensors").write_bytes(whole[: len(whole) // 2])
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.state["step"] == 1
    save_checkpoint(tmp_path, 2, checkpoint(2.0))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000002"]


def test_a_kill_while_the_older_is_removed_leaves_the_newer(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 2, checkpoint(2.0))
    for name, remains in (("step-000000001", "state.json"), ("step-000000000", "job.safetensors")):
        (tmp_path / name).mkdir()
        (tmp_path / name / remains).write_text("{}")
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded.state["step"] == 2
    save_checkpoint(tmp_path, 3, checkpoint(3.0))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000003"]


def test_a_failed_write_leaves_the_older(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(tmp_path, 2, Checkpoint({}, {"step": float("nan")}))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


@pytest.mark.parametrize("name", ["module.safetensors", "state.json"])
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, 1, checkpoint(1.0))
    file = tmp_path / "step-000000001" / name
    file.write_bytes(file.read_bytes()[:10])
    with pytest.raises(RunError, match=str(file)):
        load_checkpoint(tmp_path)
