"""Fixtures shared by all tests, and the rule that makes a skip a failure where data must be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

REQUIRE_VARIABLE = "SSL_REGISTRY_REQUIRE_DATA"


def pytest_configure(config: pytest.Config) -> None:
    """Take Ctrl-C also where a script runs the tests in the background; share the cores."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:  # torch is not imported yet; each of several workers would take all cores
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets; there, a skipped data test is a failure in CI."""
    folder = os.environ.get("SSL_REGISTRY_DATA")
    if not folder:
        pytest.skip("needs real data: set SSL_REGISTRY_DATA to the folder that holds busi/")
    return Path(folder).resolve()


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep each test's image cache to itself."""
    folder = tmp_path / "image-cache"
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_data_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where data lie is told by each test, not by the machine it runs on."""
    monkeypatch.delenv("SSL_REGISTRY_DATA", raising=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under SSL_REGISTRY_REQUIRE_DATA, a test that needs data or peers must not be skipped."""
    report = yield
    needs = any(item.get_closest_marker(name) for name in ("data", "parity"))
    needs = needs or "data_root" in getattr(item, "fixturenames", ())
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and needs and os.environ.get(REQUIRE_VARIABLE):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_VARIABLE} is set, but this test was skipped: {reason}"
    return report


@pytest.fixture(scope="session")
def tiny_busi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like BUSI: 40 small noisy pictures, dark ellipses with their masks."""
    root = tmp_path_factory.mktemp("tiny-busi")
    generator = np.random.default_rng(7)
    for label, count in (("benign", 16), ("malignant", 14), ("normal", 10)):
        (root / label).mkdir()
        for number in range(1, count + 1):
            height, width = generator.integers(40, 72, 2)
            y, x = np.mgrid[:height, :width]
            cy, cx = generator.uniform(0.35, 0.65, 2) * (height, width)
            ry, rx = generator.uniform(0.15, 0.3, 2) * (height, width)
            lesion = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= (label != "normal")
            image = generator.normal(150, 25, (height, width)) - 90 * lesion
            stem = root / label / f"{label} ({number})"
            PillowImage.fromarray(image.clip(0, 255).astype(np.uint8)).save(f"{stem}.png")
            PillowImage.fromarray(lesion.astype(np.uint8) * 255).save(f"{stem}_mask.png")
    return root


@pytest.fixture
def pretrain_table(tiny_busi: Path) -> dict[str, Any]:
    """The config table of a pre-training that takes about a second: 28 images, 18 steps."""
    return {
        "image_size": 32,
        "channels": 1,
        "method": {"name": "simclr", "projection_dim": 16},
        "backbone": {"name": "unet_encoder", "widths": [4, 8, 16]},
        "data": [{"name": "busi", "root": str(tiny_busi)}],
        "training": {"epochs": 6, "batch_size": 8, "device": "cpu", "threads": 1},
    }


@pytest.fixture
def finetune_table(tiny_busi: Path) -> dict[str, Any]:
    """The config table of a fine-tuning that takes about a second: 28 images, 18 steps."""
    return finetune_settings(tiny_busi)


def finetune_settings(root: Path) -> dict[str, Any]:
    return {
        "image_size": 32,
        "channels": 1,
        "backbone": {"name": "unet_encoder", "widths": [4, 8, 16]},
        "decoder": {"name": "unet", "widths": [8, 4]},
        "data": {"name": "busi", "root": str(root)},
        "training": {
            "epochs": 6,
            "batch_size": 8,
            "device": "cpu",
            "threads": 1,
            "optimizer": {"learning_rate": 1e-2},
        },
    }


@pytest.fixture(scope="session")
def finetuned(tiny_busi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished fine-tuning run of the table below; not to be written to."""
    from ssl_registry import finetune

    folder = tmp_path_factory.mktemp("finetuned")
    table = finetune_settings(tiny_busi)
    table["training"]["epochs"] = 8
    table["validation_epochs"] = 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_REGISTRY_CACHE", str(folder / "image-cache"))
        return finetune(table, folder / "run")


def pip_install(packages: Iterable[Path], *options: str, python: str = sys.executable) -> None:
    """Install packages from their folders with what is there: no index, no other environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    settings = ["--quiet", "--no-index", "--no-build-isolation", *options]
    done = subprocess.run(
        [*command, "install", *settings, *map(str, packages)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def installed_in() -> Callable[[Path, Iterable[Path]], None]:
    """`installed_in(folder, packages)` installs packages into a folder for `PYTHONPATH`."""

    def install(folder: Path, packages: Iterable[Path]) -> None:
        pip_install(packages, "--no-deps", "--target", str(folder))

    return install


@pytest.fixture(scope="session")
def clean_environment() -> Callable[[Path, Iterable[Path]], Path]:
    """`clean_environment(folder, packages)` makes a virtual environment with packages.

    It sees what is installed beside the running Python by a path file, so torch is not
    installed once more. The path of its Python is given back.
    """

    def make(folder: Path, packages: Iterable[Path]) -> Path:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        (site,) = folder.glob("lib/python*/site-packages")
        beside = {sysconfig.get_path(key) for key in ("purelib", "platlib")}
        # Unlike a plain path, `addsitedir` also follows the path files there.
        lines = [f"import site; site.addsitedir({path!r})" for path in sorted(beside)]
        (site / "beside.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
        python = folder / "bin" / "python"
        pip_install(packages, python=str(python))
        return python

    return make
