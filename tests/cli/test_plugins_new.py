"""`plugins new`: what it refuses, and what the files it writes are.

Whether they can be installed, pass all checks and train is shown in test_foreign_plugins.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli.runner import runner
from ssl_registry.errors import UserError
from ssl_registry.scaffold import LICENCES, PLUGIN_KINDS, Author, plugin_names, render

LONGEST = "breast-ultrasound-of-ourselves"


def new(*words: str) -> Result:
    return CliRunner().invoke(runner, ["plugins", "new", *words])


def rendered(name: str, kind: str, licence: str = "MIT", author: str = "A B") -> dict[str, str]:
    return dict(render(plugin_names(name, kind), licence, Author.parse(author)))


def project(files: dict[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads(files["pyproject.toml"])["project"]
    return settings


@pytest.mark.parametrize(
    ("name", "kind", "package", "component", "class_name"),
    [
        ("thyroid", "dataset", "thyroid", "thyroid", "ThyroidDataset"),
        ("ssl-registry-thyroid", "dataset", "ssl_registry_thyroid", "thyroid", "ThyroidDataset"),
        ("My.New_Method", "method", "my_new_method", "my_new_method", "MyNewMethod"),
        ("ssl-registry-3d-net", "backbone", "ssl_registry_3d_net", "3d_net", None),
    ],
)
def test_all_names_come_from_one(
    name: str, kind: str, package: str, component: str, class_name: str | None
) -> None:
    names = plugin_names(name, kind)
    expected = class_name or "SslRegistry3dNetBackbone"
    assert (names.package, names.component, names.class_name) == (package, component, expected)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a b", "method", "no name of a distribution: .* such as my-method"),
        ("../a", "method", "no name of a distribution"),
        ("3d-unet", "backbone", "Python cannot import; .* such as ssl-registry-3d-unet"),
        ("class", "method", "Python cannot import"),
        ("a" * 31, "method", "too long; choose one of at most 30"),
        ("json", "method", "'json' is a module of Python itself"),
        ("Tests", "method", "a folder 'tests' of its own"),
        ("folder", "dataset", "class FolderDataset of its own"),
        ("method", "method", "class Method of its own"),
        ("numpy", "method", "a distribution of that name is installed"),
        ("simclr", "method", "plugin simclr of ssl-registry is installed"),
        ("SSL_Registry.simclr", "method", "plugin simclr of ssl-registry is installed"),
        ("image-folder", "dataset", "plugin image_folder of ssl-registry is installed"),
        ("unet-encoder", "backbone", "backbone 'unet_encoder' is offered by plugin unet"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: str, kind: str, reason: str) -> None:
    result = new(name, "--kind", kind, "--into", str(tmp_path))
    assert result.exit_code == 2
    assert re.search(reason, result.stderr), result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_is_no_distribution_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lonely_module.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    result = new("lonely-module", "--kind", "method", "--into", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert f"installed already, in {tmp_path}" in result.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "rays").mkdir()
    (tmp_path / "rays" / "mine.txt").touch()
    result = new("rays", "--kind", "dataset", "--into", str(tmp_path))
    assert result.exit_code == 2
    assert "not overwritten" in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["rays", "mine.txt"]


def test_what_is_printed_names_what_was_written(tmp_path: Path) -> None:
    into = tmp_path / "not" / "there yet"
    result = new("rays", "--kind", "dataset", "--into", str(into), "--author", "A <a@b.org>")
    assert result.exit_code == 0, result.output
    assert f"cd '{into / 'rays'}'" in result.stdout
    assert "ssl-registry plugins check rays" in result.stdout
    assert {p.relative_to(into).as_posix() for p in into.rglob("*") if p.is_file()} == {
        "rays/.github/workflows/test.yml",
        "rays/.gitignore",
        "rays/LICENSE",
        "rays/README.md",
        "rays/example.toml",
        "rays/pyproject.toml",
        "rays/rays/__init__.py",
        "rays/rays/config.py",
        "rays/rays/dataset.py",
        "rays/rays/py.typed",
        "rays/tests/test_contract.py",
        "rays/tests/test_dataset.py",
    }


@pytest.mark.parametrize("name", ["x", LONGEST])
def test_code_is_clean_whatever_the_name(tmp_path: Path, name: str) -> None:
    for kind in PLUGIN_KINDS:
        for path, text in rendered(name, kind).items():
            assert "{%" not in text
            assert "{{" not in text.replace("${{ matrix", "")
            assert text.endswith("\n") or not text, path
            assert not text.endswith("\n\n"), path
            file = tmp_path / kind / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("licence", LICENCES)
def test_licence(licence: str) -> None:
    files = rendered("rays", "dataset", licence, "Jane Doe")
    settings = project(files)
    if licence == "none":
        assert "LICENSE" not in files
        assert "license" not in settings
        assert settings["classifiers"] == ["Private :: Do Not Upload"]
    else:
        assert settings["license"] == licence
        assert len(files["LICENSE"]) > 1000
        assert ("Jane Doe" in files["LICENSE"]) == (licence != "Apache-2.0")
        assert f"{licence}, see `LICENSE`" in files["README.md"]


@pytest.mark.parametrize(
    ("text", "author"),
    [
        ("Jane Doe", {"name": "Jane Doe"}),
        ("Jane Doe <j@example.org>", {"name": "Jane Doe", "email": "j@example.org"}),
        ('Seán "S" O\'Brien \\', {"name": 'Seán "S" O\'Brien \\'}),
    ],
)
def test_author(text: str, author: dict[str, str]) -> None:
    assert project(rendered("rays", "dataset", author=text))["authors"] == [author]


@pytest.mark.parametrize("text", ["", " ", "<j@example.org>", "Jane <", "Jane\nDoe", "A <b>"])
def test_authors_that_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="not of the form"):
        Author.parse(text)


def test_entry_point_leads_to_the_package() -> None:
    files = rendered("ssl-registry-rays", "backbone")
    settings = project(files)
    assert settings["entry-points"] == {"ssl_registry": {"rays": "ssl_registry_rays"}}
    assert "ssl_registry_rays/__init__.py" in files
    assert 'name="rays"' in files["ssl_registry_rays/__init__.py"]
