from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as PillowImage
from torch import Tensor

from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data import batches
from ssl_registry.data.batches import (
    Batches,
    MappedBatches,
    ResidentBatches,
    SentBatches,
    device_batches,
)
from ssl_registry.data.pool import ImagePool, load_pool
from ssl_registry.errors import ConfigError
from ssl_registry.training.device import choose_execution
from ssl_registry.training.loop import Loop, total_steps
from ssl_registry.training.pretrain import build_job, build_trunk
from ssl_registry.training.run_folder import RunFolder

CPU = torch.device("cpu")
WAYS: tuple[Callable[[ImagePool], Batches], ...] = (
    MappedBatches,
    lambda pool: ResidentBatches(pool, CPU),
    lambda pool: SentBatches(pool, CPU),
)


@pytest.fixture
def config(tmp_path: Path) -> PretrainConfig:
    rng = np.random.default_rng(0)
    for name, count in (("one", 20), ("two", 13)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(tmp_path / name / f"{number:02}.png")
    table = {
        "method": "simclr",
        "backbone": "resnet18",
        "image_size": 32,
        "data": [{"name": "image_folder", "root": tmp_path / name} for name in ("one", "two")],
        "monitoring": {"validation_epochs": 0},
        "training": {"batch_size": 8, "steps": 3, "device": "cpu", "accumulation": 2},
    }
    return validate(PretrainConfig, table, "the test")


def pool_of(config: PretrainConfig) -> ImagePool:
    return load_pool(config.data, config.parts, size=config.stored_size, channels=config.channels)


def test_every_way_gives_the_same_bits(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_CHUNK_BYTES", 3 * 32 * 32 * 7)
    pool = pool_of(config)
    ways = [way(pool) for way in WAYS]
    rng = np.random.default_rng(1)
    coming = [rng.integers(0, len(pool), size)[::step] for size, step in ((9, 1), (8, 2), (1, 1))]
    for way in ways:
        way.prepare(coming[:2])
        for places in (coming[2], coming[0], coming[1], coming[0]):
            batch = way.images(places)
            assert torch.equal(batch, pool.images(places))
            batch.zero_()  # it is the caller's own
            assert torch.equal(way.images(places), pool.images(places))


def test_the_next_batch_is_gathered_by_another_thread(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, gathered = pool_of(config), []
    plain = pool.images

    def noted(indices: NDArray[np.int64]) -> Tensor:
        gathered.append((threading.current_thread().name.startswith("batches"), indices.tolist()))
        return plain(indices)

    monkeypatch.setattr(pool, "images", noted)
    sent = SentBatches(pool, CPU)
    first, second, third = np.array([1, 2]), np.array([3, 4]), np.array([5])
    sent.prepare([second])
    sent.images(first)
    sent.prepare([third])
    sent.images(second)
    sent.images(third)
    assert sorted(gathered) == [(False, [1, 2]), (True, [3, 4]), (True, [5])]
    for _ in range(5):
        sent.prepare([first])  # nobody asks for these
    assert len(sent._coming) <= 2


def test_auto_keeps_images_where_they_fit(
    config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(config)
    assert pool.bytes == len(pool) * 3 * pool.shape[1] ** 2
    assert isinstance(device_batches(pool, CPU, "auto"), MappedBatches)
    assert isinstance(device_batches(pool, CPU, True), ResidentBatches)
    for free, kind in ((4 * pool.bytes, ResidentBatches), (4 * pool.bytes - 1, SentBatches)):
        monkeypatch.setattr(batches, "_free_bytes", lambda device, free=free: free)
        monkeypatch.setattr(ResidentBatches, "__init__", lambda self, pool, device: None)
        assert isinstance(device_batches(pool, torch.device("cuda"), "auto"), kind)
        assert isinstance(device_batches(pool, torch.device("cuda"), False), SentBatches)
    monkeypatch.setattr(batches, "_free_bytes", lambda device: pool.bytes - 1)
    with pytest.raises(ConfigError, match=r"data_on_device = true needs .* are free; leave it"):
        device_batches(pool, torch.device("cuda"), True)


def train(config: PretrainConfig, way: str, folder: Path) -> dict[str, Any]:
    settings = config.training.model_copy(update={"data_on_device": way == "resident"})
    config = config.model_copy(update={"training": settings})
    execution, pool, trunk = choose_execution(config.training), pool_of(config), build_trunk(config)
    steps = total_steps(len(pool), config.training)
    job = build_job(config, trunk, pool, steps, execution)
    if way == "sent":
        job._batches = SentBatches(pool, CPU)
    run = RunFolder(folder)
    folder.mkdir()
    Loop(job, config.training, config.seed, run, execution).train({"config": {}}, resume=False)
    return dict(job.module.state_dict())


def test_training_ends_with_the_same_bits(config: PretrainConfig, tmp_path: Path) -> None:
    found = [train(config, way, tmp_path / way) for way in ("mapped", "resident", "sent")]
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())
