"""The documentation builds as a site without a warning; its pages fetch nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "mkdocs.yml").exists(), reason="needs the source tree"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("mkdocs", "mkdocstrings", "material")),
        reason="needs the extra `docs`",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of mkdocs ends the build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> dict[str, str]:
    return {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8")
        for path in site.rglob("*.html")
    }


def test_every_page_is_there_and_no_source_is_left_among_them(site: Path) -> None:
    docs = ROOT / "docs"
    named = {path.relative_to(docs).with_suffix(".html").as_posix() for path in docs.rglob("*.md")}
    assert named <= set(pages(site))
    assert {path.name for path in site.rglob("*.py")} <= {"use_weights.py"} | {
        path.name for path in (docs / "results").rglob("*.py")
    }


def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    fetching = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:)?//[^>]*>")
    linked = re.compile(r"<link\b[^>]*\brel=\"?(?:stylesheet|preload|preconnect)[^>]*//[^>]*>")
    for name, text in pages(site).items():
        assert not fetching.search(text), name
        assert not linked.search(text), name


def test_formulas_are_drawn_without_a_script(site: Path) -> None:
    text = pages(site)["components/method-simclr.html"]
    assert text.count("<math") >= 3 and "<mfrac>" in text
    assert not [name for name, page in pages(site).items() if "arithmatex" in page]


def test_public_names_have_their_documentation(site: Path) -> None:
    text = pages(site)["reference/python_ssl_registry.html"]
    for name in ("ssl_registry.api.pretrain", "ssl_registry.interfaces.method.Method.forward"):
        assert f'id="{name}"' in text or f"id={name}" in text, name


def test_pictures_of_the_site_are_there(site: Path) -> None:
    for name, text in pages(site).items():
        for source in re.findall(r"<img[^>]*\bsrc=\"([^\"]+)\"", text):
            if not source.startswith(("data:", "http")):
                assert ((site / name).parent / source).exists(), f"{name}: {source}"
