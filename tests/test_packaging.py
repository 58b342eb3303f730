"""The wheel and the sdist hold everything that is in the tree."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    "ssl_registry",
    *(f"plugins/{p.name}" for p in sorted((ROOT / "plugins").glob("ssl_*"))),
]

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs the source tree"
)


def build(root: Path, target: str, out: Path) -> Path:
    """Build `target` (wheel or sdist) of the tree at `root` with the build backend itself."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "-d", str(out)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


def tree(folder: Path) -> set[str]:
    """All files under `folder` but caches and hidden ones, as paths in the repository."""
    relative = (path.relative_to(ROOT) for path in folder.rglob("*") if path.is_file())
    return {
        path.as_posix()
        for path in relative
        if path.suffix != ".pyc"
        and not any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    }


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    archive = build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (root,) = unpacked.iterdir()
    return root


def test_the_wheel_holds_every_file_of_the_tree(wheel: Path) -> None:
    expected = {name.removeprefix("plugins/") for p in PACKAGES for name in tree(ROOT / p)}
    assert wheel_files(wheel) == expected
    assert "ssl_registry/data/cache.py" in expected
    assert "ssl_registry/py.typed" in expected


def test_the_wheels_entry_points_are_those_of_the_project(
    wheel: Path, project: dict[str, Any]
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        text = archive.read(name).decode()
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert dict(parser["ssl_registry"]) == project["project"]["entry-points"]["ssl_registry"]
    assert dict(parser["console_scripts"]) == project["project"]["scripts"]


def test_every_plugin_folder_is_declared_everywhere(project: dict[str, Any]) -> None:
    modules = [package.removeprefix("plugins/") for package in PACKAGES]
    declared = project["project"]["entry-points"]["ssl_registry"]
    assert sorted(declared.values()) == modules[1:]
    assert {name: f"ssl_registry_{name}" for name in declared} == declared
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    assert project["tool"]["mypy"]["packages"] == modules
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists(), f"{package} has no py.typed"


def test_the_sdist_holds_code_tests_and_docs(sdist: Path) -> None:
    names = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    for folder in ("ssl_registry", "plugins", "tests", "docs"):
        assert tree(ROOT / folder) <= names, folder
    assert {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"} <= names


def test_the_wheel_from_the_sdist_is_the_same(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    assert wheel_files(build(sdist, "wheel", tmp_path / "out")) == wheel_files(wheel)
