from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import SplitConfig
from ssl_registry.data.cache import CacheSettings, _listed, cache_key, cache_root, open_cache
from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError, PluginError, RunError
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Mask, Sample

SETTINGS = CacheSettings(16, 1, masks=True)


class ToyConfig(DatasetConfig):
    name: str = "toy"
    root: Path
    gain: int = 1


class Toy(Dataset):
    """`N.png` with `N_mask.png`; counts what it reads."""

    info = DatasetInfo("breast", "toy", "CC0", "none", "none", classes=("lesion",))

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.root = config.root
        self.reads: list[str] = []

    def samples(self) -> Sequence[Sample]:
        images = sorted(p for p in self.root.glob("*.png") if "mask" not in p.name)
        return [
            Sample(p.stem, has_mask=True, files=(p, p.with_stem(f"{p.stem}_mask"))) for p in images
        ]

    def read_image(self, sample: Sample) -> Image:
        self.reads.append(sample.id)
        with PillowImage.open(sample.files[0]) as picture:
            return np.asarray(picture)

    def read_mask(self, sample: Sample) -> Mask | None:
        with PillowImage.open(sample.files[1]) as picture:
            return np.asarray(picture) // 255


def fill(root: Path, count: int = 6, shape: tuple[int, int] = (40, 30)) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        mask = rng.integers(0, 2, shape, dtype=np.uint8) * 255
        PillowImage.fromarray(image).save(root / f"{number}.png")
        PillowImage.fromarray(mask).save(root / f"{number}_mask.png")
    return root


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(ToyConfig(root=fill(tmp_path / "data")))


def skipping(dataset: Toy) -> Toy:
    return Toy(ToyConfig(root=dataset.root, skip_unreadable=True))


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def left_behind(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


def expected(dataset: Toy, size: int = 16, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    samples = dataset.samples()
    images = [shrink_image(dataset.read_image(s), size, channels) for s in samples]
    masks = [shrink_mask(dataset.read_mask(s), size, 1) for s in samples]
    return np.stack(images), np.stack(masks)


def test_cache_is_built_once_and_holds_the_shrunk_pixels(toy: Toy) -> None:
    images, masks = expected(toy)
    toy.reads.clear()
    first = open_cache(toy, toy.samples(), SETTINGS)
    assert sorted(toy.reads) == [s.id for s in toy.samples()]
    second = open_cache(toy, toy.samples(), SETTINGS)
    assert len(toy.reads) == 6
    for cache in (first, second):
        assert isinstance(cache.images, np.memmap)
        assert cache.masks is not None
        assert cache.images.dtype == cache.masks.dtype == np.uint8
        np.testing.assert_array_equal(cache.images, images)
        np.testing.assert_array_equal(cache.masks, masks)
        assert cache.unreadable == {}


def test_three_channels_without_masks(toy: Toy) -> None:
    cache = open_cache(toy, toy.samples(), CacheSettings(16, 3, masks=False))
    np.testing.assert_array_equal(cache.images, expected(toy, channels=3)[0])
    assert cache.masks is None


def test_rows_are_written_in_order_when_few_may_wait(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_registry.data.cache_readers.WAITING_BYTES", 2 * (16 * 16 * 2))
    cache = open_cache(toy, toy.samples(), SETTINGS)
    np.testing.assert_array_equal(cache.images, expected(toy)[0])


def test_fingerprint_is_a_digest_of_the_pixels(toy: Toy, tmp_path: Path) -> None:
    cache = open_cache(toy, toy.samples(), SETTINGS)
    digest = hashlib.sha256()
    for image, mask in zip(*expected(toy), strict=True):
        digest.update(image.tobytes() + mask.tobytes())
    assert cache.fingerprint == digest.hexdigest()
    other = Toy(ToyConfig(root=fill(tmp_path / "other")))  # the same pixels, other times
    assert cache_key(other, other.samples(), SETTINGS) != cache_key(toy, toy.samples(), SETTINGS)
    assert open_cache(other, other.samples(), SETTINGS).fingerprint == cache.fingerprint
    more = Toy(ToyConfig(root=fill(tmp_path / "more", count=7)))
    assert open_cache(more, more.samples(), SETTINGS).fingerprint != cache.fingerprint


def test_key_is_the_same_for_a_copy_elsewhere(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.root, tmp_path / "copy")
    copy = Toy(ToyConfig(root=tmp_path / "copy", split=SplitConfig(seed=1)))
    open_cache(toy, toy.samples(), SETTINGS)
    open_cache(copy, copy.samples(), SETTINGS)
    assert copy.reads == []


def touch(root: Path) -> None:
    os.utime(root / "3_mask.png", ns=(0, 0))


def grow(root: Path) -> None:
    status = (root / "3.png").stat()
    with (root / "3.png").open("ab") as file:
        file.write(b"0")
    os.utime(root / "3.png", ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [touch, grow, lambda root: (root / "3.png").unlink()])
def test_key_changes_with_a_file(toy: Toy, change: Callable[[Path], None]) -> None:
    before = cache_key(toy, toy.samples(), SETTINGS)
    assert cache_key(toy, toy.samples(), SETTINGS) == before
    change(toy.root)
    assert cache_key(toy, toy.samples(), SETTINGS) != before


def test_key_changes_with_each_setting(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = toy.samples()
    keys = [
        cache_key(toy, samples, SETTINGS),
        cache_key(toy, samples, CacheSettings(17, 1, masks=True)),
        cache_key(toy, samples, CacheSettings(16, 3, masks=True)),
        cache_key(toy, samples, CacheSettings(16, 1, masks=False)),
        cache_key(toy, samples[::-1], SETTINGS),
        cache_key(skipping(toy), samples, SETTINGS),
        cache_key(Toy(ToyConfig(root=toy.root, gain=2)), samples, SETTINGS),
    ]
    monkeypatch.setattr(Toy, "data_key", lambda self: "generator 2")
    keys.append(cache_key(toy, samples, SETTINGS))
    for change in ({"classes": ("cyst",)}, {"exclusive": False}):
        monkeypatch.setattr(Toy, "info", replace(Toy.info, **change))
        keys.append(cache_key(toy, samples, SETTINGS))
    assert len(set(keys)) == len(keys)


def test_key_changes_with_the_code_that_reads(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("a_dataset_of_mine")
    module.__file__ = str(tmp_path / "a_dataset_of_mine.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Toy, "__module__", module.__name__)
    samples, keys = toy.samples(), []
    for text in ("return image", "return 255 - image", "return image"):
        Path(module.__file__).write_text(text)
        keys.append(cache_key(toy, samples, SETTINGS))
    assert keys[0] == keys[2] != keys[1]


def test_key_is_the_same_for_another_split_and_weight(toy: Toy) -> None:
    other = Toy(ToyConfig(root=toy.root, split=SplitConfig(seed=1), weight=2.5))
    samples = toy.samples()
    assert cache_key(other, samples, SETTINGS) == cache_key(toy, samples, SETTINGS)


def test_shared_files_are_looked_at_once(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [sample.files for sample in toy.samples()]
    frames = [Sample(f"frame {n}", has_mask=True, files=files[n % 6]) for n in range(600)]
    looked: list[str] = []
    stat = os.stat

    def counting(path: str, **settings: bool) -> os.stat_result:
        looked.append(path)
        return stat(path, **settings)

    monkeypatch.setattr(os, "stat", counting)
    before = cache_key(toy, frames, SETTINGS)
    monkeypatch.undo()
    assert sorted(looked) == sorted(str(file) for pair in files for file in pair)
    touch(toy.root)
    assert cache_key(toy, frames, SETTINGS) != before


def test_truncated_file_is_named_and_nothing_is_left(toy: Toy, private_cache: Path) -> None:
    truncate(toy.root / "3.png")
    with pytest.raises(DataError) as caught:
        open_cache(toy, toy.samples(), SETTINGS)
    assert str(toy.root / "3.png") in str(caught.value)
    assert "skip_unreadable = true" in str(caught.value)
    assert left_behind(private_cache) == []


@pytest.mark.parametrize("file", ["3.png", "3_mask.png"])
def test_unreadable_images_are_skipped_on_request(toy: Toy, file: str) -> None:
    images, masks = expected(toy)
    images[3], masks[3] = 0, 0
    truncate(toy.root / file)
    cache = open_cache(skipping(toy), toy.samples(), SETTINGS)
    assert list(cache.unreadable) == [3]
    assert file in cache.unreadable[3]
    np.testing.assert_array_equal(cache.images, images)
    np.testing.assert_array_equal(cache.masks, masks)


def test_all_unreadable_is_an_error(toy: Toy, private_cache: Path) -> None:
    for number in range(6):
        truncate(toy.root / f"{number}.png")
    with pytest.raises(DataError, match=r"no image of 'toy' can be read.*0\.png"):
        open_cache(skipping(toy), toy.samples(), SETTINGS)
    assert left_behind(private_cache) == []


def test_mask_of_another_size_is_an_error_with_both_sizes(toy: Toy, private_cache: Path) -> None:
    PillowImage.new("L", (31, 40)).save(toy.root / "2_mask.png")
    with pytest.raises(DataError, match=r"mask of image '2' is 31x40 px, its image 30x40 px"):
        open_cache(toy, toy.samples(), SETTINGS)
    assert left_behind(private_cache) == []


def test_missing_mask_and_foreign_values_are_errors(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "read_mask", lambda self, sample: None)
    with pytest.raises(DataError, match="image '0' has no mask although"):
        open_cache(toy, toy.samples(), SETTINGS)
    monkeypatch.setattr(Toy, "read_mask", lambda self, sample: np.full((40, 30), 2, np.uint8))
    with pytest.raises(DataError, match="image '0' holds values beyond its 1 classes"):
        open_cache(toy, toy.samples(), SETTINGS)


@pytest.mark.parametrize(
    ("method", "array", "message"),
    [
        ("read_image", np.zeros((40, 30)), r"image '0' as float64 \[40, 30\]"),
        ("read_image", np.zeros((40, 30, 4), np.uint8), r"uint8 \[40, 30, 4\]; it must be"),
        ("read_image", np.zeros(40, np.uint8), r"uint8 \[40\]; it must be"),
        ("read_mask", np.zeros((1, 40, 30), np.uint8), r"\[1, 40, 30\]; it must be \[H, W\]"),
    ],
)
def test_arrays_against_the_contract_blame_the_plugin(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, method: str, array: np.ndarray, message: str
) -> None:
    monkeypatch.setattr(Toy, method, lambda self, sample: array)
    with pytest.raises(PluginError, match=message):
        open_cache(skipping(toy), toy.samples(), SETTINGS)


def test_overlapping_classes_are_stored_as_planes(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = np.random.default_rng(3).integers(0, 2, (2, 40, 30), dtype=np.uint8)
    info = DatasetInfo("b", "t", "l", "c", "s", classes=("a", "b"), exclusive=False)
    monkeypatch.setattr(Toy, "info", info)
    monkeypatch.setattr(Toy, "read_mask", lambda self, sample: masks)
    cache = open_cache(toy, toy.samples(), SETTINGS)
    assert cache.masks is not None
    np.testing.assert_array_equal(cache.masks, np.stack([shrink_mask(masks, 16, 2)] * 6))
    monkeypatch.setattr(Toy, "read_mask", lambda self, sample: masks[0])
    with pytest.raises(PluginError, match=r"must be \[2, H, W\]"):
        open_cache(toy, toy.samples(), CacheSettings(17, 1, masks=True))


def test_files_that_vanish_after_listing(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = toy.samples()
    (toy.root / "4.png").unlink()
    with pytest.raises(DataError, match=r"4\.png of image '4' cannot be read: No such file"):
        open_cache(toy, samples, SETTINGS)
    fill(toy.root)
    read = Toy.read_image

    def vanishing(self: Toy, sample: Sample) -> Image:
        if sample.id == "4":
            sample.files[0].unlink()
        return read(self, sample)

    monkeypatch.setattr(Toy, "read_image", vanishing)
    with pytest.raises(DataError, match=r"image '4' \(.*4\.png.*No such file"):
        open_cache(toy, samples, SETTINGS)


def test_error_is_told_at_once(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = toy.samples() * 100
    truncate(toy.root / "0.png")
    read = Toy.read_image

    def slow(self: Toy, sample: Sample) -> Image:
        time.sleep(0.02)
        return read(self, sample)

    monkeypatch.setattr(Toy, "read_image", slow)
    with pytest.raises(DataError):
        open_cache(toy, samples, SETTINGS)
    assert len(toy.reads) < 100


@contextmanager
def small_files() -> Iterator[None]:
    """A real limit of the system on the size of files, as a disk without room has.

    It also holds for a file that the test run itself prints to, so it must end within the test.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_for_the_cache(toy: Toy, private_cache: Path) -> None:
    settings = CacheSettings(64, 1, masks=True)
    message = r"cannot write .*File too large; set SSL_REGISTRY_CACHE"
    with pytest.raises(RunError, match=message), small_files():
        open_cache(toy, toy.samples(), settings)
    assert left_behind(private_cache) == []


def test_full_disk(toy: Toy, private_cache: Path) -> None:
    private_cache.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(private_cache)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a small disk")
    try:
        with pytest.raises(RunError, match="No space left on device; set SSL_REGISTRY_CACHE"):
            open_cache(toy, toy.samples(), CacheSettings(128, 3, masks=True))
        assert left_behind(private_cache) == []
        open_cache(toy, toy.samples(), SETTINGS)
        assert len(left_behind(private_cache)) == 1
    finally:
        subprocess.run(["umount", "--lazy", str(private_cache)], check=True)


def test_cache_folder_that_cannot_be_made(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(RunError, match=r"cannot write to .*set SSL_REGISTRY_CACHE"):
        open_cache(toy, toy.samples(), SETTINGS)


def test_damaged_cache_is_named(toy: Toy, private_cache: Path) -> None:
    open_cache(toy, toy.samples(), SETTINGS)
    (folder,) = private_cache.iterdir()
    truncate(folder / "images.npy")
    with pytest.raises(RunError, match=f"{folder.name} is damaged; delete it"):
        open_cache(toy, toy.samples(), SETTINGS)
    shutil.rmtree(folder)
    assert len(open_cache(toy, toy.samples(), SETTINGS).images) == 6


def test_half_cache_without_index_is_built_again(toy: Toy, private_cache: Path) -> None:
    open_cache(toy, toy.samples(), SETTINGS)
    (folder,) = private_cache.iterdir()
    (folder / "index.json").unlink()
    truncate(folder / "images.npy")
    cache = open_cache(toy, toy.samples(), SETTINGS)
    np.testing.assert_array_equal(cache.images, expected(toy)[0])
    assert left_behind(private_cache) == [folder.name]


def test_builders_at_the_same_time_read_each_image_once(
    toy: Toy, private_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, masks = expected(toy)
    toy.reads.clear()
    begun, go_on = threading.Event(), threading.Event()
    read = toy.read_image

    def held(sample: Sample) -> Image:
        begun.set()
        assert go_on.wait(timeout=20)
        return read(sample)

    toy.read_image = held  # type: ignore[method-assign]
    found = []

    def build() -> None:
        found.append(open_cache(toy, toy.samples(), SETTINGS))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(timeout=20)
    said = ""
    deadline = time.monotonic() + 20
    while said.count("another process is caching toy; waiting for it") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        said += capsys.readouterr().err
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(toy.reads) == ["0", "1", "2", "3", "4", "5"]
    assert len({cache.fingerprint for cache in found}) == 1
    assert len(found) == 3
    for cache in found:
        np.testing.assert_array_equal(cache.images, images)
        np.testing.assert_array_equal(cache.masks, masks)
    (folder,) = private_cache.iterdir()
    assert left_behind(folder) == ["images.npy", "index.json", "masks.npy"]


def test_index_says_what_is_stored(toy: Toy, private_cache: Path) -> None:
    cache = open_cache(toy, toy.samples(), SETTINGS)
    (folder,) = private_cache.iterdir()
    index = json.loads((folder / "index.json").read_text())
    assert index["samples"] == ["0", "1", "2", "3", "4", "5"]
    assert index["settings"] == {"size": 16, "channels": 1, "masks": True}
    assert index["fingerprint"] == cache.fingerprint


def test_cache_root_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SSL_REGISTRY_CACHE", "~/images")
    assert cache_root() == tmp_path / "home" / "images"
    monkeypatch.delenv("SSL_REGISTRY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "ssl_registry"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / "home" / ".cache" / "ssl_registry"


@pytest.mark.parametrize("waiting", [1, 3000, 20000])
def test_every_sample_is_stored_once_however_they_are_dealt_out(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr("ssl_registry.data.cache_readers.WAITING_BYTES", waiting)
    samples = (toy.samples() * 8)[:21]
    cache = open_cache(toy, samples, SETTINGS)
    assert len(cache.images) == len(samples) == len(toy.reads)
    for sample, stored in zip(samples, cache.images, strict=True):
        expected = shrink_image(Toy.read_image(toy, sample), SETTINGS.size, SETTINGS.channels)
        np.testing.assert_array_equal(stored, expected)


def test_key_text_is_that_of_a_plain_list(toy: Toy) -> None:
    samples = [replace(sample, id=f'it\'s "{sample.id}"\n') for sample in toy.samples()]
    facts = [
        (
            sample.id,
            sample.has_mask,
            [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sample.files],
        )
        for sample in samples
    ]
    assert _listed(samples) == repr(facts)
    assert _listed([]) == "[]"
