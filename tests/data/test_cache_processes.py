"""Rows are the same whoever reads them, and a process that ends is told of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry.data import cache_readers
from ssl_registry.data.cache import CacheSettings, ImageCache, open_cache
from ssl_registry.data.cache_processes import DecodingProcesses
from ssl_registry.data.resize import shrink_image
from ssl_registry.errors import DataError, PluginError
from ssl_registry.interfaces.dataset import Dataset, Sample

MODULE = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from PIL import Image as PillowImage
from ssl_registry.config.model import DatasetConfig
from ssl_registry.errors import PluginError
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Sample

class Config(DatasetConfig):
    name: str = "far"
    root: Path
    fault: str = ""
    skip_unreadable: bool = True

class Far(Dataset):
    info = DatasetInfo("none", "far", "CC0", "none", "none", channels=3, classes=("dark",))

    def samples(self):
        files = sorted(self.config.root.glob("*.png"))
        return [Sample(file.stem, label="a", has_mask=i % 3 == 0, files=(file,))
                for i, file in enumerate(files)]

    def read_image(self, sample):
        (self.config.root / f"reader-{os.getpid()}").touch()
        if sample.id == "050":
            if self.config.fault == "plugin":
                raise PluginError("of the plugin")
            if self.config.fault == "kill" and len(sys.argv) > 2:  # not in the test's process
                os.kill(os.getpid(), signal.SIGKILL)
        if sample.id == "149" and self.config.fault == "wait":
            time.sleep(60)
        with PillowImage.open(sample.files[0]) as picture:
            return np.asarray(picture)

    def read_mask(self, sample):
        return (self.read_image(sample)[..., 0] < 100).astype(np.uint8)
"""
SETTINGS = CacheSettings(12, 3, masks=True)
BROKEN = 20


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that other processes find, too: by the path of this one."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "far_dataset.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    import far_dataset  # type: ignore[import-not-found]

    yield far_dataset
    del sys.modules["far_dataset"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(150):
        pixels = rng.integers(0, 256, (20, 16, 3), dtype=np.uint8)
        PillowImage.fromarray(pixels).save(folder / f"{number:03}.png")
    broken = folder / f"{BROKEN:03}.png"
    broken.write_bytes(broken.read_bytes()[:100])
    return folder


def build(module: ModuleType, root: Path, fault: str = "") -> ImageCache:
    dataset = module.Far(module.Config(root=root, fault=fault))
    return open_cache(dataset, dataset.samples(), SETTINGS)


def readers(root: Path) -> set[int]:
    """Ids of the processes that have read since the last call."""
    marks = list(root.glob("reader-*"))
    for mark in marks:
        mark.unlink()
    return {int(mark.name.partition("-")[2]) for mark in marks}


def by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_readers, "GLANCE_SECONDS", 0.0)
    monkeypatch.setattr(cache_readers, "START_SECONDS", 0.0)
    monkeypatch.setattr(cache_readers, "TRIAL_SECONDS", 1e9)


def by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_readers, "usable_cores", lambda: 2)
    monkeypatch.setattr(cache_readers, "GLANCE_SECONDS", 0.0)
    monkeypatch.setattr(cache_readers, "START_SECONDS", 1e-9)
    monkeypatch.setattr(cache_readers, "WAITING_TASKS", 1)
    monkeypatch.setattr(cache_readers, "TRIAL_SECONDS", 0.0)
    monkeypatch.setattr(cache_readers, "BUSY_ENOUGH", 1e9)


def test_rows_are_equal_whoever_reads(
    module: ModuleType, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for way in ("alone", "threads", "processes"):
        monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / way))
        with monkeypatch.context() as patch:
            patch.setattr("ssl_registry.data.cache_slots.TASK_SAMPLES", 7)
            if way != "alone":
                (by_threads if way == "threads" else by_processes)(patch)
            cache = build(module, root)
        others = readers(root) - {os.getpid()}
        assert len(others) == (2 if way == "processes" else 0)
        assert list(cache.unreadable) == [BROKEN]
        (folder,) = (tmp_path / way).iterdir()
        found[way] = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert found["alone"] == found["threads"] == found["processes"]
    with PillowImage.open(root / "149.png") as picture:
        expected = shrink_image(np.asarray(picture), 12, 3)
    np.testing.assert_array_equal(cache.images[149], expected)
    assert cache.masks is not None
    assert cache.masks[148].sum() == 0
    assert cache.masks[147].any()


def test_an_error_of_the_dataset_comes_as_it_is(
    module: ModuleType, root: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_processes(monkeypatch)
    with pytest.raises(PluginError, match=r"^of the plugin$"):
        build(module, root, "plugin")
    assert list(private_cache.iterdir()) == []


def test_a_process_that_is_killed_is_named(
    module: ModuleType, root: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pytest"])
    by_processes(monkeypatch)
    with pytest.raises(DataError, match=r"'far' was ended by SIGKILL at one of '\d+' to '\d+'"):
        build(module, root, "kill")
    assert list(private_cache.iterdir()) == []


def test_processes_killed_from_outside(
    module: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = module.Far(module.Config(root=root, fault="wait"))  # they cannot be done before
    processes = DecodingProcesses.start(dataset, SETTINGS, 2)
    assert processes is not None
    with processes, pytest.raises(DataError, match="was ended by SIGKILL"):
        samples = dataset.samples()
        rows = processes.read(samples)
        next(rows)
        for pid in readers(root):
            os.kill(pid, signal.SIGKILL)
        list(rows)


class Local(Dataset):
    """One that lives in a module of this process alone; see `only_here`."""

    def __init__(self, far: Dataset) -> None:
        super().__init__(far.config)
        self.info, self._far, self.read = far.info, far, []

    def samples(self) -> Sequence[Sample]:
        return self._far.samples()

    def read_image(self, sample: Sample) -> np.ndarray:
        self.read.append(sample.id)
        return self._far.read_image(sample)

    def read_mask(self, sample: Sample) -> np.ndarray | None:
        return self._far.read_mask(sample)


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = ModuleType("only_here")
    here.Local = Local  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "only_here", here)
    monkeypatch.setattr(Local, "__module__", "only_here")


@pytest.mark.usefixtures("only_here")
@pytest.mark.parametrize("lock", [False, True])
def test_a_dataset_that_cannot_be_sent_is_read_here(
    module: ModuleType,
    root: Path,
    lock: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    by_processes(monkeypatch)
    dataset = Local(module.Far(module.Config(root=root)))
    if lock:
        dataset.lock = threading.Lock()  # type: ignore[attr-defined]
    cache = open_cache(dataset, dataset.samples(), SETTINGS)
    assert readers(root) == {os.getpid()}
    assert sorted(dataset.read) == [sample.id for sample in dataset.samples()]
    assert list(cache.unreadable) == [BROKEN]
    assert "Traceback" not in capfd.readouterr().err


def test_samples_that_cannot_be_sent_are_read_here(module: ModuleType, root: Path) -> None:
    dataset = module.Far(module.Config(root=root))
    plain = dataset.samples()[:100]
    fixed = [
        Sample(each.id, files=each.files, meta=MappingProxyType({"organ": "none"}))
        for each in plain
    ]
    processes = DecodingProcesses.start(dataset, CacheSettings(12, 3, masks=False), 2)
    assert processes is not None
    with processes:
        rows = [rows.arrays["images.npy"].copy() for rows in processes.read([*fixed, *plain])]
    images = np.concatenate(rows)
    assert len(images) == 200
    np.testing.assert_array_equal(images[:100], images[100:])
    assert os.getpid() in readers(root)


SCRIPT = """
    import os, sys
    sys.path.insert(0, {folder!r})
    print("running", os.getpid())
    from far_dataset import Config, Far
    from ssl_registry.data import cache_readers
    from ssl_registry.data.cache import CacheSettings, open_cache
    cache_readers.usable_cores = lambda: 2
    cache_readers.GLANCE_SECONDS, cache_readers.START_SECONDS = 0.0, 1e-9
    cache_readers.TRIAL_SECONDS, cache_readers.BUSY_ENOUGH = 0.0, 1e9
    cache_readers.WAITING_TASKS = 1
    dataset = Far(Config(root={root!r}))
    print(len(open_cache(dataset, dataset.samples(), CacheSettings(12, 3, False)).images))
    print("torch", "torch" in sys.modules)
"""


def test_a_script_is_not_run_again(module: ModuleType, root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    folder = str(tmp_path / "modules")
    script.write_text(textwrap.dedent(SCRIPT.format(folder=folder, root=str(root))))
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    first, *rest = done.stdout.splitlines()
    assert first.startswith("running")
    assert rest == ["150", "torch False"]
    assert len(readers(root)) >= 2


def test_ctrl_c_ends_all_processes(
    module: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = module.Far(module.Config(root=root))
    processes = DecodingProcesses.start(dataset, SETTINGS, 2)
    assert processes is not None
    with pytest.raises(KeyboardInterrupt), processes:
        next(processes.read(dataset.samples()))
        raise KeyboardInterrupt
    deadline = time.monotonic() + 10
    for pid in readers(root) - {os.getpid()}:
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
