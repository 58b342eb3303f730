from __future__ import annotations

import pickle
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import DataError, DatasetNotFoundError
from ssl_registry.data.load import load_data
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_natural.cifar10 import Cifar10Dataset
from ssl_registry_natural.config import Cifar10Config

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
SIZES = [4, 3, 5, 2, 4, 6]
RECORD = 3073


def record(label: int, image: np.ndarray) -> bytes:
    """One record, written pixel by pixel: class, then all red, all green, all blue, by rows."""
    data = bytearray([label])
    for channel in range(3):
        for y in range(32):
            for x in range(32):
                data.append(int(image[y, x, channel]))
    return bytes(data)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def label_of(seed: int) -> int:
    return (7 * seed + 3) % 10


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release of 18 training and 6 test images; image number n is `picture(n)`."""
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    seed = 0
    for name, size in zip(BATCHES, SIZES, strict=True):
        records = [record(label_of(n), picture(n)) for n in range(seed, seed + size)]
        (folder / name).write_bytes(b"".join(records))
        seed += size
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    (folder / "readme.html").write_text("<p>CIFAR-10</p>")
    return tmp_path / "cifar10"


def dataset(root: Path, **settings: Any) -> Cifar10Dataset:
    return Cifar10Dataset(Cifar10Config(root=root, **settings))


def batch(root: Path, name: str) -> Path:
    return root / "cifar-10-batches-bin" / name


def test_every_image_is_read_as_it_was_written(release: Path) -> None:
    data = dataset(release)
    samples = data.samples()
    ids = [f"train/{n:05d}" for n in range(18)] + [f"test/{n:05d}" for n in range(6)]
    assert [s.id for s in samples] == ids
    assert data.info.channels == 3
    for seed, sample in enumerate(samples):
        assert sample.label == NAMES[label_of(seed)]
        assert sample.split == sample.id.partition("/")[0]
        assert not sample.has_mask
        np.testing.assert_array_equal(data.read_image(sample), picture(seed))


def test_colours_and_orientation(release: Path) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[0, :] = (255, 0, 0)  # the top row is red
    image[1:, 0] = (0, 0, 255)  # the left column below it is blue
    batch(release, "test_batch.bin").write_bytes(record(9, image))
    data = dataset(release)
    [sample] = [s for s in data.samples() if s.split == "test"]
    read = data.read_image(sample)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    assert read[0].tolist() == [[255, 0, 0]] * 32
    assert read[1:, 0].tolist() == [[0, 0, 255]] * 31
    assert not read[1:, 1:].any()


def test_root_may_be_the_folder_above_or_the_batches_themselves(release: Path) -> None:
    assert dataset(release).samples() == dataset(release / "cifar-10-batches-bin").samples()


def test_each_sample_names_its_batch_file_only(release: Path) -> None:
    counts = Counter(s.files for s in dataset(release).samples())
    assert counts == {(batch(release, n),): size for n, size in zip(BATCHES, SIZES, strict=True)}


def test_an_image_can_be_read_without_listing_first(release: Path) -> None:
    samples = dataset(release).samples()
    np.testing.assert_array_equal(dataset(release).read_image(samples[10]), picture(10))


def test_component_is_found_and_splits_officially_by_default(release: Path) -> None:
    config = config_model("dataset", "cifar10")(root=release)
    samples = factory("dataset", "cifar10")(config).samples()
    assert Counter(make_split(samples, config.split).values()) == {"train": 18, "test": 6}


def test_test_images_may_serve_for_validation(release: Path) -> None:
    data = dataset(release, test_as="val")
    samples = data.samples()
    assert Counter(make_split(samples, data.config.split).values()) == {"train": 18, "val": 6}
    assert [s.id for s in samples] == [s.id for s in dataset(release).samples()]
    assert data.info.release is not None
    totals = dict(data.info.release.totals)
    assert (totals["split/train"], totals["split/val"]) == (50_000, 10_000)
    assert "split/test" not in totals
    assert Cifar10Dataset.info.release is not None
    assert Cifar10Dataset.info.release.totals["split/test"] == 10_000


def test_many_threads_read_the_right_images(release: Path) -> None:
    data = dataset(release)
    samples = data.samples()
    barrier = threading.Barrier(8)

    def read_all(_: int) -> list[np.ndarray]:
        barrier.wait()
        return [data.read_image(sample) for sample in samples]

    with ThreadPoolExecutor(8) as pool:
        for images in pool.map(read_all, range(8)):
            for seed, image in enumerate(images):
                np.testing.assert_array_equal(image, picture(seed))


def test_the_cache_holds_the_pixels(release: Path) -> None:
    loaded = load_data(Cifar10Config(root=release), size=32, channels=3, masks=False)
    for seed, stored in enumerate(loaded.cache.images):
        np.testing.assert_array_equal(stored.transpose(1, 2, 0), picture(seed))


@pytest.mark.parametrize("cut", [1, 3072, 3074])
def test_a_batch_that_was_cut_short(release: Path, cut: int) -> None:
    path = batch(release, "data_batch_3.bin")
    path.write_bytes(path.read_bytes()[:-cut])
    size = 5 * RECORD - cut
    with pytest.raises(DataError, match=rf"data_batch_3\.bin has {size} bytes.*cut short"):
        dataset(release).samples()


def test_an_empty_batch(release: Path) -> None:
    batch(release, "test_batch.bin").write_bytes(b"")
    with pytest.raises(DataError, match=r"test_batch\.bin has 0 bytes"):
        dataset(release).samples()


def test_a_class_beyond_nine_names_the_file_and_the_image(release: Path) -> None:
    path = batch(release, "data_batch_2.bin")
    content = bytearray(path.read_bytes())
    content[2 * RECORD] = 10
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2\.bin: image 2 is of class 10"):
        dataset(release).samples()


def test_a_batch_that_is_cut_short_or_vanishes_after_listing(release: Path) -> None:
    data = dataset(release)
    last = data.samples()[-1]
    path = batch(release, "test_batch.bin")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"test_batch\.bin ends before image 'test/00005'"):
        data.read_image(last)
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*test_batch\.bin"):
        data.read_image(last)


def test_classes_of_another_release(release: Path) -> None:
    batch(release, "batches.meta.txt").write_text("apple\naquarium_fish\n")
    with pytest.raises(DataError, match="names the classes apple, aquarium_fish"):
        dataset(release).samples()
    batch(release, "batches.meta.txt").unlink()
    assert len(dataset(release).samples()) == 24


def test_missing_batches_are_named(release: Path) -> None:
    batch(release, "data_batch_4.bin").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"lacks data_batch_4\.bin; fetch them with"):
        dataset(release).samples()


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


def test_the_python_release_is_not_read_and_it_says_what_to_fetch(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    for root in (tmp_path, folder):
        with pytest.raises(DatasetNotFoundError, match=r"pickles.*cifar-10-binary\.tar\.gz"):
            dataset(root).samples()


def test_a_folder_without_the_release(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"holds data_batch_1\.bin.*data download"):
        dataset(tmp_path).samples()
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"")
    with pytest.raises(DatasetNotFoundError, match=r"tar\.gz is not unpacked"):
        dataset(tmp_path).samples()
    with pytest.raises(DatasetNotFoundError, match="there is no folder"):
        dataset(tmp_path / "nowhere").samples()


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_natural, ssl_registry_natural.config\n"
        "list(ssl_registry_natural.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.data
def test_real_pictures_written_as_batches_come_back_pixel_by_pixel(
    data_root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    pictures: list[np.ndarray] = []
    with tarfile.open(data_root / "cifar10_jpeg.tar.xz", "r|xz") as archive:
        for member in archive:
            if member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                pictures.append(np.asarray(PillowImage.open(file).convert("RGB")))
            if len(pictures) == 60:
                break
    for at, name in enumerate(BATCHES):
        some = pictures[10 * at : 10 * at + 10]
        (folder / name).write_bytes(b"".join(record(n, p) for n, p in enumerate(some)))
    data = dataset(tmp_path)
    for sample, expected in zip(data.samples(), pictures, strict=True):
        np.testing.assert_array_equal(data.read_image(sample), expected)
