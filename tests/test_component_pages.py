"""The pages of the components are those that the components give, and lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from ssl_registry import components
from ssl_registry.config.presets import SECTIONS

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the source tree")


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in (DOCS / "components").glob("*.md")}


def test_the_pages_are_not_stale(generator: ModuleType, pages: Mapping[str, str]) -> None:
    fresh = generator.pages()
    assert sorted(fresh) == sorted(pages), "run `python docs/generate.py`"
    stale = [name for name, text in fresh.items() if pages[name] != text]
    assert stale == [], "run `python docs/generate.py`"


def test_every_bundled_component_has_its_page(pages: Mapping[str, str]) -> None:
    for found in components():
        kind, name = found.component.kind, found.component.name
        if found.plugin.distribution != "ssl-registry" or kind == "experiment":
            continue
        if kind == "preset":
            assert f"\n## {name}\n" in pages["presets.md"]
        else:
            assert f"`{name}`" in pages[f"{kind}-{name}.md"].splitlines()[0]
            assert f"({kind}-{name}.md)" in pages["index.md"]


def test_links_lead_somewhere(pages: Mapping[str, str]) -> None:
    headings = set(re.findall(r"^## (\S+)$", pages["presets.md"], re.MULTILINE))
    for name, text in pages.items():
        for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
            file, _, anchor = target.partition("#")
            assert (DOCS / "components" / file).exists(), f"{name}: {target}"
            assert not anchor or anchor in headings, f"{name}: {target}"


def test_methods_and_networks_name_paper_and_equation(pages: Mapping[str, str]) -> None:
    for name, text in pages.items():
        if name.startswith("method-"):
            assert "arXiv:" in text and "```math" in text, name
        if name.startswith(("backbone-", "decoder-")):
            assert re.search(r"arXiv:|https://|STACOM|Biomedical Signal", text), name


def test_the_presets_that_are_shown_can_be_read(pages: Mapping[str, str]) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", pages["presets.md"], re.DOTALL)
    for block in blocks[1:]:
        assert set(tomllib.loads(block)) <= set(SECTIONS)
    assert set(tomllib.loads(blocks[0])["preset"]) <= {
        found.component.name for found in components("preset")
    }


def test_docstrings_become_markdown(generator: ModuleType) -> None:
    def sample() -> None:
        r"""What it is.

        With :math:`a_1` and

        .. math:: b = \frac{1}{2}
                      + c

        as in::

            code

        Args:
            a: Left out.

        Raises:
            ConfigError: this is
                wrong.
            DataError: That is.
        """

    text = generator.text_of(sample)
    assert text.prose == (
        "What it is.\n\nWith $a_1$ and\n\n```math\nb = \\frac{1}{2}\n+ c\n```\n\nas in:\n\n    code"
    )
    assert text.refusals == ("This is wrong.", "That is.")
