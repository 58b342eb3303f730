"""The doctor, in environments that are broken for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssl_registry.cli.doctor import doctor
from ssl_registry.data.room import in_words
from ssl_registry.doctor import storage
from ssl_registry.doctor.finding import Finding
from ssl_registry.doctor.libraries import try_imports

Found = dict[str, Finding]


def package(folder: Path, name: str, code: str, version: str = "", *needs: str) -> None:
    """A package that can be imported, with metadata if it has a version."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    if version:
        metadata(folder, name, version, *needs)


def metadata(folder: Path, name: str, version: str, *needs: str) -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    text = "\n".join(["Metadata-Version: 2.1", *lines, ""])
    (place / "METADATA").write_text(text, encoding="utf-8")


def examined(
    site: Path, *flags: str, broken: bool = True, **variables: str
) -> dict[str, list[Finding]]:
    """What the doctor finds with `site` in front of all other packages, by section."""
    environment = {**os.environ, "PYTHONPATH": str(site), "SSL_REGISTRY_DISABLE": "", **variables}
    command = [sys.executable, *flags, "-m", "ssl_registry.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    answer = json.loads(done.stdout)
    sections = {t: [Finding(**f) for f in found] for t, found in answer["sections"].items()}
    count = sum(f.level == "broken" for found in sections.values() for f in found)
    assert answer["broken"] == count
    assert done.returncode == bool(count) == broken, answer
    return sections


def by_name(findings: list[Finding]) -> Found:
    return {finding.name: finding for finding in findings}


TORCH = """
__version__ = "2.6.0"
class version: cuda = None
class cuda: is_available = staticmethod(lambda: False)
class backends:
    class cudnn: version = staticmethod(lambda: None)
    class mps: is_available = staticmethod(lambda: False)
get_num_threads = lambda: 1
"""
TILES = "class cpu: _is_amx_tile_supported = staticmethod(lambda: True)\n"
NMS = "raise RuntimeError('operator torchvision::nms does not exist')"


def test_a_torchvision_of_another_torch_is_explained(tmp_path: Path) -> None:
    package(tmp_path, "torch", TORCH, "2.6.0")
    package(tmp_path, "torchvision", NMS, "0.26.0", "torch==2.11.0")
    package(tmp_path, "timm", "import torchvision", "99")
    package(tmp_path, "kornia", "", "0.9.0")
    found = by_name(examined(tmp_path)["versions"])
    assert found["torch"] == Finding("torch", "2.6.0")
    assert found["kornia"].level == "ok"
    pair = found["torch and torchvision"]
    assert pair.level == "broken"
    assert "torchvision 0.26.0 asks for torch==2.11.0, but torch is 2.6.0" in pair.value
    assert "operator torchvision::nms does not exist" in pair.value
    # The release table of torchvision pairs 2.6 with 0.21.
    assert "torchvision 0.21 belongs to torch 2.6.0" in pair.advice
    assert "pip install --force-reinstall 'torch==2.6.0' torchvision==0.21.*" in pair.advice
    for name in ("torchvision", "timm"):
        assert found[name].level == "broken"
        assert "mend torch and torchvision first" in found[name].advice


CUDA = """
import contextlib
class version: cuda = "12.8"
class cuda:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 2)
    current = 0
    @staticmethod
    @contextlib.contextmanager
    def device(index):
        cuda.current = index
        yield
    mem_get_info = staticmethod(lambda: ((3 + cuda.current) * 10**9, 24 * 10**9))
    is_bf16_supported = staticmethod(lambda including_emulation: cuda.current == 0)
    get_device_name = staticmethod(lambda index: f"Card {index}")
"""


def plugin(folder: Path, name: str, code: str, *needs: str) -> None:
    """An installed plugin: module, metadata and entry point."""
    package(folder, name, code, "1.2.3", *needs)
    text = f"[ssl_registry]\n{name} = {name}\n"
    (folder / f"{name}-1.2.3.dist-info" / "entry_points.txt").write_text(text, encoding="utf-8")


OFFERS = """
from ssl_registry import Component, hookimpl
SSL_REGISTRY_API = 1
@hookimpl
def ssl_registry_components():
    return [Component("method", "simclr", "m:A", "m:C")]
"""


@pytest.mark.parametrize(("code", "told"), [(TORCH + TILES, "bf16"), (TORCH, "no bf16: fp32")])
def test_the_precision_of_the_processor_is_told(tmp_path: Path, code: str, told: str) -> None:
    package(tmp_path, "torch", code, "2.11.0")
    assert by_name(examined(tmp_path)["devices"])["cpu"].value.endswith(f" of memory; {told}")


def test_devices_and_plugins(tmp_path: Path) -> None:
    package(tmp_path, "torch", TORCH + CUDA, "2.11.0")
    for name in ("torchvision", "kornia", "timm"):
        package(tmp_path, name, "", "99")
    plugin(tmp_path, "lacking", "import nowhere_to_be_found", "nowhere-to-be-found>=3")
    plugin(tmp_path, "rival", OFFERS, "surely-not-installed", "click>=1")
    plugin(tmp_path, "off", "raise RuntimeError")
    sections = examined(tmp_path, SSL_REGISTRY_DISABLE="off")
    assert by_name(sections["versions"])["CUDA"].value == "12.8"
    devices = by_name(sections["devices"])
    assert devices["cuda:0"].value == "Card 0, 3.0 of 24.0 GB free; bf16"
    assert devices["cuda:1"].value == "Card 1, 4.0 of 24.0 GB free; no bf16: fp32"
    found = by_name(sections["plugins"])
    lacking = found["lacking (lacking 1.2.3)"]
    assert lacking.level == "broken"
    assert "No module named 'nowhere_to_be_found'" in lacking.value
    assert lacking.advice == "install what it asks for: pip install 'nowhere-to-be-found>=3'"
    clash = found["method simclr"]
    assert clash.level == "broken"
    assert "rival:rival and ssl-registry:simclr" in clash.value
    assert found["off (off 1.2.3)"].level == "note"
    assert found["rival"] == Finding(
        "rival",
        "asks for surely-not-installed: not installed",
        "note",
        "pip install --upgrade 'surely-not-installed'",
    )


def test_builds_that_differ_are_explained(tmp_path: Path) -> None:
    package(tmp_path, "torch", TORCH, "2.11.0+cpu")
    package(tmp_path, "torchvision", NMS, "0.26.0+cu128")
    found = by_name(examined(tmp_path)["versions"])
    assert "different builds (cpu and cu128)" in found["torch and torchvision"].value
    assert "--index-url https://download.pytorch.org/whl/cpu" in (
        found["torch and torchvision"].advice
    )


def test_libraries_that_fail_in_every_way(tmp_path: Path) -> None:
    package(tmp_path, "torch", "raise OSError('libcudart.so.12: cannot open')", "2.11.0")
    package(tmp_path, "torchvision", "import os; os._exit(9)", "0.26.0")
    package(tmp_path, "kornia", "print('{}'); raise SystemExit('no licence')", "0.9.0")
    package(tmp_path, "timm", "import os; os.kill(os.getpid(), 11)", "99")
    metadata(tmp_path, "tensorboard", "2.1.0")
    metadata(tmp_path, "pydantic", "1.10.0")
    sections = examined(tmp_path)
    found = by_name(sections["versions"])
    assert "libcudart.so.12: cannot open" in found["torch"].value
    assert "pip install --force-reinstall torch" in found["torch"].advice
    assert "status 9" in found["torchvision"].value
    assert "SystemExit: no licence" in found["kornia"].value
    assert "status -11" in found["timm"].value
    assert found["timm"].advice == "mend torch first"
    assert "torch cannot be imported" in by_name(sections["devices"])["others"].value
    packages = by_name(sections["packages"])
    assert packages["pydantic"].level == "broken"
    assert packages["pydantic"].advice == "pip install --upgrade 'pydantic>=2.10'"
    assert packages["extra tensorboard"] == Finding(
        "extra tensorboard",
        "tensorboard: 2.1.0 is installed, which will not do; tensorboard>=2.16 is needed for it",
        "note",
        "pip install --upgrade 'ssl-registry[tensorboard]'",
    )


def test_an_environment_with_next_to_nothing(tmp_path: Path) -> None:
    """Without site-packages: no torch, no numpy, no pydantic, not even our own metadata."""
    for name in ("ssl_registry", "click", "pluggy", "packaging"):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        (tmp_path / name).symlink_to(Path(spec.origin).parent)
    sections = examined(tmp_path, "-S")
    found = by_name(sections["versions"])
    for name in ("torch", "torchvision", "kornia", "timm"):
        assert found[name] == Finding(name, "not installed", "broken", f"pip install {name}")
    (own,) = sections["packages"]
    assert (own.level, "is not installed" in own.value) == ("broken", True)
    (caches,) = sections["image caches"]
    assert "ModuleNotFoundError" in caches.value
    assert len(sections["disks"]) == 3 or sections["disks"][0].level == "broken"


def test_imports_that_hang_up_stop_no_other() -> None:
    found = try_imports(["json", "there_is_no_such_module", "csv"])
    assert list(found) == ["json", "there_is_no_such_module", "csv"]
    assert "No module named" in found["there_is_no_such_module"]["error"]
    assert "error" not in found["csv"]


def test_leftovers_of_killed_builds(private_cache: Path) -> None:
    part = private_cache / "busi-80px-0123abcd.part"
    part.mkdir(parents=True)
    (part / "images.bin").write_bytes(b"\0" * 5000)
    found = by_name(list(storage.image_caches()))
    left = found["busi-80px-0123abcd"]
    assert left.level == "note"
    assert left.value.startswith(f"interrupted, {in_words(5000)}")
    assert "ssl-registry data cache clear busi-80px-0123abcd" in left.advice


def test_a_cache_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "file"))
    found = by_name(list(storage.image_caches()))
    assert (found["folder"].level, "is no folder" in found["folder"].value) == ("broken", True)


def test_data_sets_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busi").mkdir()
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(tmp_path))
    found = by_name(list(storage.data_sets()))
    assert found["found"].value == "busi"
    assert {"camus", "covid_lus"} <= set(found["not there"].value.split(", "))
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(tmp_path / "gone"))
    (home,) = storage.data_sets()
    assert home.level == "broken"
    monkeypatch.delenv("SSL_REGISTRY_DATA")
    (home,) = storage.data_sets()
    assert home.level == "ok"


def test_a_healthy_installation_is_told_as_text(tmp_path: Path) -> None:
    package(tmp_path, "torch", TORCH.replace("2.6.0", "2.11.0"), "2.11.0")
    package(tmp_path, "torchvision", "__version__ = '0.26.0'", "0.26.0", "torch==2.11.0")
    package(tmp_path, "kornia", "", "0.9.0")
    package(tmp_path, "timm", "", "99")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "SSL_REGISTRY_DISABLE": "simclr,no-such-plugin",
    }
    command = [sys.executable, "-m", "ssl_registry.cli", "doctor"]
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "torchvision 0.26.0" in lines
    assert "CUDA torch is built without it" in lines
    assert "! SSL_REGISTRY_DISABLE names 'no-such-plugin', which is no plugin" in lines
    assert "-> take it out of SSL_REGISTRY_DISABLE to have it back" in lines
    assert lines[-1] == "nothing is broken"


@pytest.mark.slow
def test_what_is_really_installed() -> None:
    """This installation: what it says of itself is what torch says."""
    import torch

    result = CliRunner().invoke(doctor, ["--json"])
    sections = json.loads(result.output)["sections"]
    found = {finding["name"]: finding for finding in sections["versions"]}
    assert found["torch"]["value"] == torch.__version__
    assert {found[name]["level"] for name in ("torch", "torchvision", "kornia", "timm")} == {"ok"}
    cuda = [f["name"] for f in sections["devices"] if f["name"].startswith("cuda:")]
    assert len(cuda) == torch.cuda.device_count()
