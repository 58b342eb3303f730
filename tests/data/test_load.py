from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.data.pool import load_pool
from ssl_registry.errors import DataError
from ssl_registry.registry import config_model
from ssl_registry.training.device import choose_execution
from ssl_registry.training.finetune import FinetuneJob, build_finetuning, labelled_places
from ssl_registry.training.loop import Loop, total_steps
from ssl_registry.training.pretrain import build_job, build_trunk
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.testing import load_labelled


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as BUSI's, with ten images of 40x30 px of each class."""
    root = tmp_path_factory.mktemp("busi")
    rng = np.random.default_rng(0)
    for label in ("benign", "malignant", "normal"):
        (root / label).mkdir()
        for number in range(1, 11):
            image = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            mask = np.zeros((30, 40), np.uint8)
            mask[5:20, 10:30] = 255 * (label != "normal")
            Image.fromarray(image).save(root / label / f"{label} ({number}).png")
            Image.fromarray(mask).save(root / label / f"{label} ({number})_mask.png")
    return root


@pytest.fixture
def busi(release: Path, tmp_path: Path) -> Path:
    """A copy of the release that a test may damage."""
    return Path(shutil.copytree(release, tmp_path / "busi"))


def config(root: Path, **settings: object) -> DatasetConfig:
    return config_model("dataset", "busi").model_validate({"root": root, **settings})  # type: ignore[return-value]


def loaded(root: Path, **settings: object) -> LoadedData:
    return load_data(config(root, **settings), size=16, channels=1, masks=True)


def test_parts_divide_the_samples(busi: Path) -> None:
    data = loaded(busi)
    places = {part: data.places([part]) for part in ("train", "val", "test")}
    assert {part: len(found) for part, found in places.items()} == {
        "train": 21,
        "val": 3,
        "test": 6,
    }
    together = np.concatenate(list(places.values()))
    assert sorted(together.tolist()) == list(range(30))
    assert data.places(["train", "val", "test"]).tolist() == list(range(30))
    for part, found in places.items():
        assert {data.parts[data.samples[place].id] for place in found} == {part}
    described = data.describe()
    assert described["images"] == {"train": 21, "val": 3, "test": 6}
    assert described["unreadable"] == []
    assert described["fingerprint"] == data.cache.fingerprint
    assert described["organ"] == "breast"


def test_skipped_image_is_named_and_left_out(busi: Path) -> None:
    whole = loaded(busi)
    victim = busi / "malignant" / "malignant (5).png"
    victim.write_bytes(victim.read_bytes()[:600])
    with pytest.raises(DataError, match=r"malignant \(5\)\.png"):
        loaded(busi)
    data = loaded(busi, skip_unreadable=True)
    place = [sample.id for sample in data.samples].index("malignant (5)")
    assert place not in data.places(["train", "val", "test"])
    assert len(data.places(["train", "val", "test"])) == 29
    assert data.parts == whole.parts
    (reason,) = data.describe()["unreadable"]  # type: ignore[misc]
    assert str(victim) in reason
    counts: Any = data.describe()["images"]
    assert sum(counts.values()) == 29


def test_mask_of_another_size_names_the_file_and_both_sizes(busi: Path) -> None:
    Image.new("L", (41, 30)).save(busi / "benign" / "benign (2)_mask.png")
    with pytest.raises(DataError, match=r"benign \(2\)_mask\.png is 41x30 .*40x30"):
        loaded(busi)


def test_data_without_images_or_masks(busi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_registry_busi.dataset import BusiDataset

    monkeypatch.setattr(BusiDataset, "samples", lambda self: [])
    with pytest.raises(DataError, match="dataset 'busi' has no images"):
        loaded(busi)
    monkeypatch.undo()
    info = BusiDataset.info
    monkeypatch.setattr(BusiDataset, "info", type(info)("o", "m", "l", "c", "s"))
    with pytest.raises(DataError, match="dataset 'busi' has no masks to learn from"):
        loaded(busi)


def test_grouping_by_duplicates_keeps_them_together(busi: Path) -> None:
    for number in (2, 5, 9):
        shutil.copy(busi / "benign" / "benign (1).png", busi / "benign" / f"benign ({number}).png")
    data = loaded(busi, split={"kind": "stratified", "group_by": "duplicates"})
    assert len({data.parts[f"benign ({number})"] for number in (1, 2, 5, 9)}) == 1


_opened: list[str] | None = None


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and str(arguments[0]).endswith(".png"):
        _opened.append(str(arguments[0]))


@contextmanager
def no_image_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, the image files are gone, Pillow opens nothing, and whoever tries is recorded."""
    global _opened
    if _opened is None:
        sys.addaudithook(_record)  # it sees every open of this process, whatever makes it
    _opened = []
    with pytest.raises(FileNotFoundError):
        (root / "missing.png").open()
    assert len(_opened) == 1, "the record itself must work"
    _opened.clear()

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("an image file was opened")

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuse)
        shutil.rmtree(root)
        yield
    assert _opened == []


TRAINING = {"epochs": 3, "batch_size": 4, "max_steps": 8, "device": "cpu", "precision": "fp32"}


def test_no_epoch_of_pretraining_opens_an_image(
    busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {
        "image_size": 32,
        "method": "simclr",
        "backbone": "resnet18",
        "data": [{"name": "busi", "root": busi}],
        "training": TRAINING,
    }
    run = validate(PretrainConfig, table, "the test")
    execution = choose_execution(run.training)
    pool = load_pool(run.data, run.parts, size=run.stored_size, channels=run.channels)
    job = build_job(run, build_trunk(run), pool, total_steps(len(pool), run.training), execution)
    folder = RunFolder(tmp_path / "run")
    folder.claim({"id": "test"}, resume=False)
    loop = Loop(job, run.training, run.seed, folder, execution)
    with no_image_file(busi, monkeypatch):
        state = loop.train({"config": {}}, resume=False)
    assert state.step == 8
    assert [row["epoch"] for row in folder.read_log()] == [1, 2]


def test_no_epoch_of_finetuning_opens_an_image(
    busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {
        "image_size": 32,
        "backbone": "resnet18",
        "decoder": "unet",
        "data": {"name": "busi", "root": busi},
        "training": TRAINING,
    }
    run = validate(FinetuneConfig, table, "the test")
    execution = choose_execution(run.training)
    data = load_labelled(run)
    labelled = labelled_places(data, run)
    task = build_finetuning(run, data, total_steps(len(labelled), run.training))
    job = FinetuneJob(task, data, labelled, run, execution)
    folder = RunFolder(tmp_path / "run")
    folder.claim({"id": "test"}, resume=False)
    loop = Loop(job, run.training, run.seed, folder, execution)
    with no_image_file(busi, monkeypatch):
        state = loop.train({"config": {}}, resume=False)
    assert state.step == 8
    assert all("validation/dice/lesion" in row for row in folder.read_log())


def test_second_pretraining_runs_from_the_cache_alone(
    busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_registry import pretrain

    table = {
        "image_size": 32,
        "method": "simclr",
        "backbone": "resnet18",
        "data": [{"name": "busi", "root": busi}],
        "training": {**TRAINING, "max_steps": 2},
    }
    torch.manual_seed(0)
    first = pretrain(table, tmp_path / "first")

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("an image file was opened")

    monkeypatch.setattr(Image, "open", refuse)
    second = pretrain(table, tmp_path / "second")
    weights = [(run / "weights" / "model.safetensors").read_bytes() for run in (first, second)]
    assert weights[0] == weights[1]
