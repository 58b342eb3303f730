from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import Part
from ssl_registry.data import streaming
from ssl_registry.data.batches import MappedBatches, SentBatches, StoredArray
from ssl_registry.data.cache import ImageCache
from ssl_registry.data.load import LoadedData
from ssl_registry.data.pool import ImagePool
from ssl_registry.data.streaming import ReadAhead, are_streamed, available_memory
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Sample

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fadvise"), reason="this system takes no advice on what to read"
)


class Listed(Dataset):
    info = DatasetInfo("breast", "none", "CC0", "none", "none")

    def samples(self) -> list[Sample]:
        return []

    def read_image(self, sample: Sample) -> NDArray[np.uint8]:
        raise NotImplementedError


def mapped(path: Path, count: int, shape: tuple[int, ...] = (3, 7, 7)) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)
    np.save(path, pixels)
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array


def pool_of(folder: Path) -> ImagePool:
    members = []
    for name, count in (("one", 40), ("two", 25)):
        samples = tuple(Sample(f"{name}-{at}") for at in range(count))
        parts: dict[str, Part] = {s.id: "val" if s.id[-1] == "3" else "train" for s in samples}
        cache = ImageCache(mapped(folder / f"{name}.npy", count), None, {5: "broken"}, name)
        members.append(LoadedData(Listed(DatasetConfig(name=name)), samples, parts, cache))
    return ImagePool(members, ["train"])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the files hold where the system was asked to read, as it was asked."""
    found = []
    advise = os.posix_fadvise

    def noted(file: int, start: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        found.append(os.pread(file, size, start))
        advise(file, start, size, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    return found


def memory_of(folder: Path, monkeypatch: pytest.MonkeyPatch, kilobytes: int, limit: str) -> None:
    (folder / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {kilobytes} kB\n")
    (folder / "limit").write_text(f"{limit}\n")
    monkeypatch.setattr(streaming, "_MEMORY", folder / "meminfo")
    monkeypatch.setattr(streaming, "_LIMITS", (folder / "missing", folder / "limit"))


def test_streamed_batches_have_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = pool_of(tmp_path)
    monkeypatch.setattr(streaming, "SHARE", 0.0)
    streamed = pool_of(tmp_path)
    masks = mapped(tmp_path / "masks.npy", 30, (9, 9))
    rows = StoredArray(masks, np.arange(1, 30, 2))
    rng = np.random.default_rng(3)
    coming = [rng.integers(0, len(rows), size) for size in (6, 11, 1)]
    for way in (MappedBatches, lambda stored: SentBatches(stored, CPU)):
        of_pool, of_rows = way(streamed), way(rows)
        for step, places in enumerate(coming):
            of_pool.prepare(coming[step + 1 : step + 2])
            of_rows.prepare(coming[step + 1 : step + 2])
            assert torch.equal(of_pool.images(places), plain.images(places))
            np.testing.assert_array_equal(of_rows.images(places), masks[2 * places + 1])


def test_exactly_the_rows_that_come_next_are_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[bytes]
) -> None:
    monkeypatch.setattr(streaming, "SHARE", 0.0)
    pool = pool_of(tmp_path)
    places = np.array([50, 2, 33, 1, 2])
    MappedBatches(pool).prepare([places])
    rows = sorted({bytes(image.numpy().tobytes()) for image in pool.images(places)})
    half = len(asked) // 2  # then again by `images`, which asks for what nobody prepared
    for some in (asked[:half], asked[half:]):
        together = b"".join(some)
        size = len(rows[0])
        read = [together[at : at + size] for at in range(0, len(together), size)]
        assert sorted(read) == rows
    assert half == 3  # 1 and 2 are neighbours


def test_nothing_changes_where_memory_holds_the_images(tmp_path: Path, asked: list[bytes]) -> None:
    pool = pool_of(tmp_path)
    batches = MappedBatches(pool)
    batches.prepare([np.arange(5)])
    batches.images(np.arange(5))
    assert not asked


@pytest.mark.parametrize(
    ("kilobytes", "limit", "available"),
    [(8, "max", 8192), (8, "6000", 6000), (4, "9223372036854771712", 4096), (4, "", 4096)],
)
def test_arrays_are_streamed_beyond_a_share_of_what_is_available(
    kilobytes: int, limit: str, available: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_of(tmp_path, monkeypatch, kilobytes, limit)
    assert available_memory() == available
    fits = int(streaming.SHARE * available)
    assert not are_streamed([np.zeros(fits, np.uint8)])
    assert are_streamed([np.zeros(fits + 1, np.uint8)])
    assert are_streamed([np.zeros(fits, np.uint8), np.zeros(1, np.uint8)])


@pytest.mark.parametrize("text", ["", "MemTotal: 5 kB\n", "MemAvailable: many kB\n"])
def test_where_memory_is_unknown_nothing_is_streamed(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_of(tmp_path, monkeypatch, 1, "max")
    (tmp_path / "meminfo").write_text(text)
    assert available_memory() is None
    assert not are_streamed([np.zeros(10**6, np.uint8)])


def test_advice_is_for_whole_mapped_files_only(tmp_path: Path, asked: list[bytes]) -> None:
    array = mapped(tmp_path / "a.npy", 9)
    gone = mapped(tmp_path / "b.npy", 9)
    (tmp_path / "b.npy").unlink()
    for other in (np.array(array), array[2:], array[:, :1], gone):
        ReadAhead(other).rows(np.arange(len(other)))
    ReadAhead(array).rows(np.array([], dtype=np.int64))
    assert not asked
    ReadAhead(array).rows(np.arange(9)[::-1])
    assert asked == [array.tobytes()]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are not listed")
def test_files_are_closed_with_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = mapped(tmp_path / "a.npy", 9)
    monkeypatch.setattr(streaming, "SHARE", 0.0)

    def times_open() -> int:
        gc.collect()
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return sum(os.path.realpath(link) == os.path.realpath(tmp_path / "a.npy") for link in links)

    mapped_only = times_open()
    stored = StoredArray(array, np.arange(9))
    while_used = times_open()
    del stored
    assert (while_used, times_open()) == (mapped_only + 1, mapped_only)
