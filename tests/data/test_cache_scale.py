"""Builds that are killed, interrupted, run side by side, or large."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ssl_registry.config.model import DatasetConfig
from ssl_registry.data import cache_build
from ssl_registry.data.cache import CacheSettings, ImageCache, cache_key, open_cache
from ssl_registry.data.cache_inventory import cache_entries, remove_cache
from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError, RunError
from ssl_registry.file_lock import FileLock
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Mask, Sample

SETTINGS = CacheSettings(8, 3, masks=True)
BROKEN = (1, 30)


class NumbersConfig(DatasetConfig):
    name: str = "numbers"
    root: Path
    count: int = 60
    skip_unreadable: bool = True
    """Of the files 1 and 30, nothing can be read."""


class Numbers(Dataset):
    """Files that hold the seed of an image each; what is read is written down in `reads`.

    A file `hold` makes readers wait at image 40.
    """

    info = DatasetInfo("none", "numbers", "CC0", "none", "none", channels=3, classes=("odd",))
    seconds = 0.0

    def __init__(self, config: NumbersConfig) -> None:
        super().__init__(config)
        self.root, self.count = config.root, config.count
        self.log = config.root / "reads"

    def samples(self) -> Sequence[Sample]:
        return [
            Sample(str(n), has_mask=True, files=(self.root / f"{n}.seed",))
            for n in range(self.count)
        ]

    def read_image(self, sample: Sample) -> Image:
        time.sleep(self.seconds)
        while sample.id == "40" and (self.root / "hold").exists():
            time.sleep(0.01)
        with self.log.open("a") as log:
            log.write(sample.id + "\n")
        seed = int(sample.files[0].read_text())
        return np.random.default_rng(seed).integers(0, 256, (12, 10, 3), dtype=np.uint8)

    def read_mask(self, sample: Sample) -> Mask | None:
        return np.full((12, 10), int(sample.id) % 2, np.uint8)

    def reads(self) -> list[int]:
        """What was read since the last call, in order of the numbers."""
        found = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(int(name) for name in found)


def numbers(root: Path, count: int = 60) -> Numbers:
    root.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (root / f"{n}.seed").write_text("broken" if n in BROKEN else str(n))
    return Numbers(NumbersConfig(root=root, count=count))


@pytest.fixture
def dataset(tmp_path: Path) -> Numbers:
    return numbers(tmp_path / "numbers")


def check(dataset: Numbers, cache: ImageCache) -> None:
    """Compare a cache with a plain loop over the images."""
    assert sorted(cache.unreadable) == [n for n in BROKEN if n < dataset.count]
    assert all(f"{n}.seed" in reason for n, reason in cache.unreadable.items())
    for n, (image, mask) in enumerate(zip(cache.images, cache.masks, strict=True)):  # type: ignore[arg-type]
        pixels = np.random.default_rng(n).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        odd = np.full((12, 10), n % 2, np.uint8)
        readable = n not in BROKEN
        np.testing.assert_array_equal(image, readable * shrink_image(pixels, 8, 3))
        np.testing.assert_array_equal(mask, readable * shrink_mask(odd, 8, 1))


def build(dataset: Numbers) -> ImageCache:
    return open_cache(dataset, dataset.samples(), SETTINGS)


def part_of(dataset: Numbers, cache: Path) -> Path:
    return cache / f"{cache_key(dataset, dataset.samples(), SETTINGS)}.part"


def noted_rows(part: Path) -> int:
    """Rows that the journal of a build says are written."""
    try:
        lines = (part / "progress.jsonl").read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return 0
    rows: list[int] = [json.loads(line).get("rows", 0) for line in lines if line.endswith("\n")]
    return max(rows, default=0)


def main(root: str, count: str, seconds: str) -> None:
    """Build in a process of its own; say so when done."""
    dataset = Numbers(NumbersConfig(root=Path(root), count=int(count)))
    dataset.seconds = float(seconds)
    sys.stdout.write(f"fingerprint {build(dataset).fingerprint}\n")


def words(function: Callable[..., None], *arguments: object) -> list[str]:
    """The command of a process that calls a function of this module, under its present name."""
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location({__name__!r}, {__file__!r})\n"
        "module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        f"module.{function.__name__}(*sys.argv[1:])"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


def start(dataset: Numbers, seconds: float) -> subprocess.Popen[str]:
    """Start a process that builds the cache, taking at least `seconds` for an image."""
    command = words(main, dataset.root, dataset.count, seconds)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_after(rows: int, dataset: Numbers, cache: Path) -> int:
    """Kill a build once so many rows are written; gives how many are."""
    part = part_of(dataset, cache)
    process = start(dataset, 0.01)
    wait_for(lambda: noted_rows(part) >= rows)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    dataset.reads()
    return noted_rows(part)


def test_killed_build_is_gone_on_with(
    dataset: Numbers, private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kill_after(16, dataset, private_cache)
    second = kill_after(first + 8, dataset, private_cache)
    assert 16 <= first < second < dataset.count
    cache = build(dataset)
    assert dataset.reads() == list(range(second, dataset.count))
    check(dataset, cache)
    (folder,) = private_cache.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["images.npy", "index.json", "masks.npy"]
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "other"))
    whole = build(dataset)
    (other,) = (tmp_path / "other").iterdir()
    assert whole.fingerprint == cache.fingerprint
    for name in ("images.npy", "masks.npy", "index.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


class Stop:
    """Lets a dataset read until image 24, and raises there."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __call__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read = Numbers.read_image

        def stopping(dataset: Numbers, sample: Sample) -> Image:
            if sample.id == "24":
                raise self.error
            return read(dataset, sample)

        monkeypatch.setattr(Numbers, "read_image", stopping)


def interrupted(dataset: Numbers, cache: Path) -> Path:
    """A build that Ctrl-C ended after 24 rows; gives its folder."""
    with pytest.MonkeyPatch.context() as patch:
        Stop(KeyboardInterrupt)(patch)
        with pytest.raises(KeyboardInterrupt):
            build(dataset)
    dataset.reads()
    part = part_of(dataset, cache)
    assert noted_rows(part) == 24
    return part


def test_interrupted_build_is_gone_on_with(dataset: Numbers, private_cache: Path) -> None:
    interrupted(dataset, private_cache)
    cache = build(dataset)
    assert dataset.reads() == list(range(24, 60))
    check(dataset, cache)


def append(part: Path) -> None:
    """Rows that were written but not yet noted, and half a note."""
    for name in ("images.npy", "masks.npy", "progress.jsonl"):
        with (part / name).open("ab") as file:
            file.write(b'{"rows": 32, "dig')


def flip(part: Path) -> None:
    content = bytearray((part / "images.npy").read_bytes())
    content[-1] ^= 1
    (part / "images.npy").write_bytes(content)


def shorten(part: Path) -> None:
    content = (part / "masks.npy").read_bytes()
    (part / "masks.npy").write_bytes(content[:-1])


def forget(part: Path) -> None:
    (part / "progress.jsonl").write_text("")


def garble(part: Path) -> None:
    (part / "progress.jsonl").write_bytes(b"\xff\xfe")


def rename(part: Path) -> None:
    text = (part / "progress.jsonl").read_text()
    (part / "progress.jsonl").write_text(text.replace('"images": 60', '"images": 61'))


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (append, 24),
        (flip, 0),
        (shorten, 0),
        (forget, 0),
        (garble, 0),
        (rename, 0),
        (lambda part: (part / "masks.npy").unlink(), 0),
        (lambda part: (part / "progress.jsonl").unlink(), 0),
    ],
)
def test_only_what_is_whole_is_taken_up(
    dataset: Numbers, private_cache: Path, damage: Callable[[Path], None], kept: int
) -> None:
    damage(interrupted(dataset, private_cache))
    cache = build(dataset)
    assert dataset.reads() == list(range(kept, 60))
    check(dataset, cache)


def test_a_build_may_be_stopped_again_and_again(dataset: Numbers, private_cache: Path) -> None:
    append(interrupted(dataset, private_cache))
    append(interrupted(dataset, private_cache))
    cache = build(dataset)
    assert dataset.reads() == list(range(24, 60))
    check(dataset, cache)


def test_stopped_after_the_last_row(dataset: Numbers, private_cache: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def stop(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(cache_build, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            build(dataset)
    dataset.reads()
    cache = build(dataset)
    assert dataset.reads() == []
    check(dataset, cache)


def test_changed_file_makes_another_cache(dataset: Numbers, private_cache: Path) -> None:
    part = interrupted(dataset, private_cache)
    os.utime(dataset.root / "40.seed", ns=(0, 0))
    check(dataset, build(dataset))
    assert dataset.reads() == list(range(60))
    entries = cache_entries(private_cache)
    assert sorted(entry.state for entry in entries) == ["complete", "interrupted"]
    assert all(remove_cache(entry) for entry in entries if entry.state == "interrupted")
    assert not part.exists()
    assert [entry.state for entry in cache_entries(private_cache)] == ["complete"]


@pytest.mark.parametrize("error", [DataError, RuntimeError, MemoryError])
def test_nothing_is_left_of_a_build_that_failed(
    dataset: Numbers, private_cache: Path, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(dataset, private_cache)
    strict = Numbers(NumbersConfig(root=dataset.root, skip_unreadable=False))
    Stop(error)(monkeypatch)
    for n in BROKEN:
        (dataset.root / f"{n}.seed").write_text(str(n))
    with pytest.raises(error):
        build(strict)
    assert not part_of(strict, private_cache).exists()
    monkeypatch.undo()


def test_nothing_is_left_where_the_room_ends_in_a_second_try(
    dataset: Numbers, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(dataset, private_cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(RunError, match=r"File too large; set SSL_REGISTRY_CACHE to a folder"):
            build(dataset)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(private_cache.iterdir()) == []
    check(dataset, build(dataset))


def test_file_that_vanishes_while_it_is_awaited(dataset: Numbers, private_cache: Path) -> None:
    strict = Numbers(NumbersConfig(root=dataset.root, skip_unreadable=False))
    for n in BROKEN:
        (dataset.root / f"{n}.seed").write_text(str(n))
    samples, read = strict.samples(), strict.read_image

    def vanishing(sample: Sample) -> Image:
        (dataset.root / "59.seed").unlink(missing_ok=True)
        return read(sample)

    strict.read_image = vanishing  # type: ignore[method-assign]
    with pytest.raises(DataError, match=r"image '59' \(.*59\.seed\) cannot be read: .*No such"):
        open_cache(strict, samples, SETTINGS)
    assert list(private_cache.iterdir()) == []


def test_two_processes_share_one_build(dataset: Numbers, private_cache: Path) -> None:
    part = part_of(dataset, private_cache)
    hold = dataset.root / "hold"
    hold.touch()
    builder = start(dataset, 0.0)
    wait_for(lambda: noted_rows(part) > 0)
    (entry,) = cache_entries(private_cache)
    assert entry.state == "building"
    assert not remove_cache(entry)
    other = start(dataset, 0.0)
    assert other.stderr is not None
    assert other.stderr.readline() == "another process is caching numbers; waiting for it\n"
    hold.unlink()
    told = [process.communicate(timeout=60) for process in (builder, other)]
    assert [builder.returncode, other.returncode] == [0, 0]
    assert "waiting" not in told[0][1]
    assert dataset.reads() == list(range(60))
    cache = build(dataset)
    assert {out for out, _ in told} == {f"fingerprint {cache.fingerprint}\n"}
    check(dataset, cache)


def test_who_waits_goes_on_where_a_builder_is_killed(dataset: Numbers, private_cache: Path) -> None:
    part = part_of(dataset, private_cache)
    hold = dataset.root / "hold"
    hold.touch()
    builder = start(dataset, 0.0)
    wait_for(lambda: noted_rows(part) > 0)
    found: list[ImageCache] = []
    waiting = threading.Thread(target=lambda: found.append(build(dataset)))
    waiting.start()
    time.sleep(0.2)
    builder.kill()
    builder.communicate()
    rows = noted_rows(part)
    hold.unlink()
    waiting.join(timeout=60)
    check(dataset, found[0])
    reads = dataset.reads()
    assert set(reads) == set(range(60))
    assert all(reads.count(n) == 1 for n in range(rows))


def test_without_locks_everybody_builds(
    dataset: Numbers, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileLock, "take", lambda self, *, wait=False: True)
    together = threading.Barrier(2)
    read = dataset.read_image

    def meeting(sample: Sample) -> Image:
        if sample.id == "0":
            together.wait(timeout=20)
        return read(sample)

    dataset.read_image = meeting  # type: ignore[method-assign]
    found: list[ImageCache] = []
    threads = [threading.Thread(target=lambda: found.append(build(dataset))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(dataset.reads()) == 120
    for cache in found:
        check(dataset, cache)
    (entry,) = cache_entries(private_cache)
    assert entry.state == "complete"
    assert len(list(private_cache.iterdir())) == 1
    Stop(RuntimeError)(monkeypatch)
    other = Numbers(NumbersConfig(root=dataset.root, count=50))
    with pytest.raises(RuntimeError):
        build(other)
    assert len(list(private_cache.iterdir())) == 1


class Generated(Numbers):
    """As many images as one likes, without files."""

    def samples(self) -> Sequence[Sample]:
        return [Sample(str(n)) for n in range(self.count)]

    def read_image(self, sample: Sample) -> Image:
        return np.full((32, 32, 3), int(sample.id) % 251, np.uint8)


def many(root: str, count: str) -> None:
    dataset = Generated(NumbersConfig(root=Path(root), count=int(count)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cache = open_cache(dataset, dataset.samples(), CacheSettings(40, 3, masks=False))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    values = cache.images[:, 0, 0, 0].astype(int).tolist()
    assert values == [n % 251 for n in range(int(count))]
    sys.stdout.write(f"{grown}\n")


@pytest.mark.skipif(sys.platform == "darwin", reason="counts bytes, not KiB")
def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    grown = []
    for count in (1000, 12000):
        done = subprocess.run(words(many, tmp_path, count), capture_output=True, check=True)
        grown.append(int(done.stdout))
    # 53 MB of pixels: those that are read again at the end are mapped, and count.
    assert grown[1] - grown[0] < (53e6 + 50e6) / 1024
