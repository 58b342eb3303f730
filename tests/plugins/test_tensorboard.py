"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssl_registry import UserError, finetune, pretrain
from ssl_registry.training.observers import Observers, ObserverWarning
from ssl_registry.training.pictures import ValidationPictures
from ssl_registry.training.run_folder import RunFolder
from ssl_registry_tensorboard import VARIABLE, TensorBoard


def events(folder: Path) -> EventAccumulator:
    read = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    read.Reload()
    return read


def scalars(read: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read.Scalars(tag)]


def logged(run: Path, key: str) -> list[tuple[int, Any]]:
    """What the run's own log says; event files hold single precision."""
    rows = RunFolder(run).read_log()
    return [(r["epoch"], pytest.approx(r[key], rel=1e-6)) for r in rows if key in r]


def text(read: EventAccumulator, tag: str) -> Any:
    (event,) = read.Tensors(f"{tag}/text_summary")
    return json.loads(event.tensor_proto.string_val[0])


def test_a_fine_tuning_is_written_as_it_was_logged(
    finetune_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finetune_table |= {"validation_epochs": 2}
    finetune_table["training"]["epochs"] = 3
    with monkeypatch.context() as patch:
        patch.setattr(ValidationPictures, "draw", drawn_for_nobody)
        plain = finetune(finetune_table, tmp_path / "plain")
    assert not list(plain.rglob("*tfevents*"))
    monkeypatch.setenv(VARIABLE, "1")
    run = finetune(finetune_table, tmp_path / "watched")
    read = events(run / "tensorboard")
    assert [step for step, _ in scalars(read, "training/loss")] == [1, 2, 3]
    assert scalars(read, "training/loss") == logged(run, "loss")
    assert [step for step, _ in scalars(read, "validation/dice/lesion")] == [2, 3]
    assert scalars(read, "validation/dice/lesion") == logged(run, "validation/dice/lesion")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert scalars(read, "test/dice/lesion") == [
        (3, pytest.approx(summary["test"]["dice/lesion"], rel=1e-6))
    ]
    assert text(read, "summary") == summary
    assert text(read, "config")["decoder"]["widths"] == [8, 4]
    check_masks(read)
    # To be watched changes no bit of what is learnt.
    before, after = (load_file(r / "weights" / "model.safetensors") for r in (plain, run))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def drawn_for_nobody(self: ValidationPictures, epoch: int) -> Mapping[str, Any]:
    raise AssertionError("pictures are drawn, but nobody looks")


def check_masks(read: EventAccumulator) -> None:
    tags = read.Tags()["images"]
    assert 1 <= len(tags) <= 4
    assert all(tag.startswith("validation/") for tag in tags)
    for tag in tags:
        assert [event.step for event in read.Images(tag)] == [2, 3]
        pixels = picture(read, tag)
        assert pixels.shape == (256, 512, 3)
        image, outlined = pixels[:, :256], pixels[:, 256:]
        # 32 px enlarged eightfold, gray; the outlines beside it are bluish green and orange.
        assert np.array_equal(image, image[::8, ::8].repeat(8, axis=0).repeat(8, axis=1))
        assert np.ptp(image.astype(int), axis=2).max() == 0
        assert (outlined == (0x2E, 0xE6, 0xA6)).all(axis=2).any()


def picture(read: EventAccumulator, tag: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    encoded = read.Images(tag)[-1].encoded_image_string
    return np.asarray(PillowImage.open(io.BytesIO(encoded)))


class StopAt:
    """Ends the run at an epoch as Ctrl-C in an observer would."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch_ended(self, epoch: int) -> None:
        if epoch == self._epoch:
            raise KeyboardInterrupt


def test_a_resumed_pre_training_shows_each_epoch_once(
    pretrain_table: dict[str, Any], tmp_path: Path
) -> None:
    pretrain_table["cache_size"] = 40
    pretrain_table["training"] |= {"epochs": 4, "checkpoint_seconds": 0}
    folder = tmp_path / "events"
    with pytest.raises(KeyboardInterrupt):
        pretrain(pretrain_table, tmp_path / "run", observers=[TensorBoard(folder), StopAt(3)])
    assert [step for step, _ in scalars(events(folder), "training/loss")] == [1, 2, 3]
    run = pretrain(
        pretrain_table, tmp_path / "run", resume=True, observers=[TensorBoard(str(folder))]
    )
    read = events(folder)
    assert len(list(folder.iterdir())) == 2
    assert scalars(read, "training/loss") == logged(run, "loss")
    assert [step for step, _ in scalars(read, "training/loss")] == [1, 2, 3, 4]
    tags = read.Tags()["images"]
    assert tags == ["views/1", "views/2", "views/3", "views/4"]
    for tag in tags:
        assert [event.step for event in read.Images(tag)] == [0]
        assert picture(read, tag).shape == (256, 240 + 2 * 256, 3)  # 40 px, and two of 32 px


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_resumed_for_its_evaluation_alone_keeps_its_curves(
    finetune_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finetune_table["training"] |= {"epochs": 2, "checkpoint_seconds": 0}
    folder = tmp_path / "events"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ssl_registry.training.finetune.write_network", killed)
        finetune(finetune_table, tmp_path / "run", observers=[TensorBoard(folder)])
    pictures = {tag: len(events(folder).Images(tag)) for tag in events(folder).Tags()["images"]}
    run = finetune(finetune_table, tmp_path / "run", resume=True, observers=[TensorBoard(folder)])
    read = events(folder)
    assert len(list(folder.iterdir())) == 2
    assert [step for step, _ in scalars(read, "training/loss")] == [1, 2]
    assert scalars(read, "training/loss") == logged(run, "loss")
    assert pictures and pictures == {tag: len(read.Images(tag)) for tag in pictures}
    assert [step for step, _ in scalars(read, "test/dice/lesion")] == [2]
    (summary,) = read.Tensors("summary/text_summary")
    assert summary.step == 2


class Leaving:
    """Tries to end the process."""

    def epoch_ended(self) -> None:
        raise SystemExit("enough")


def test_a_run_goes_on_without_tensorboard(
    finetune_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setenv(VARIABLE, "1")
    finetune_table["training"]["max_steps"] = 3
    with pytest.warns(ObserverWarning) as caught:
        run = finetune(finetune_table, tmp_path / "run", observers=[Leaving()])
    missing, leaving = (str(warning.message) for warning in caught)
    assert "pip install 'ssl-registry[tensorboard]'" in missing
    assert "the observer Leaving raised SystemExit in epoch_ended: enough" in leaving
    assert (run / "report.html").is_file()
    assert not (run / "tensorboard").exists()


def test_neither_yes_nor_no(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "perhaps")
    with pytest.warns(ObserverWarning, match="perhaps is neither 1 nor 0"):
        Observers(tmp_path).started({})


def test_whoever_asks_in_code_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-registry\[tensorboard\]'"):
        TensorBoard()
