"""The generated pages are those that code gives, and those of the components lead somewhere."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import pytest

import ssl_registry
from ssl_registry import components
from ssl_registry.cli.runner import runner
from ssl_registry.config.presets import SECTIONS

NO_PAGE = ("experiment", "published")
DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="needs the source tree")


@pytest.fixture(scope="module")
def generator() -> Iterator[Callable[[str], ModuleType]]:
    """`generator(name)` imports a module of the generator as `docs/generate.py` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module
    for name in [*sys.modules]:
        if name.partition(".")[0] in ("generate", "generation"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in (DOCS / "components").glob("*.md")}


def test_the_pages_are_not_stale(generator: Callable[[str], ModuleType]) -> None:
    fresh = generator("generate").pages()
    folders = ("components", "reference")
    there = [p.relative_to(DOCS).as_posix() for f in folders for p in (DOCS / f).glob("*.md")]
    assert sorted(fresh) == sorted(there), "run `python docs/generate.py`"
    stale = [name for name, text in fresh.items() if (DOCS / name).read_text("utf-8") != text]
    assert stale == [], "run `python docs/generate.py`"


def test_commands_and_names_are_all_there() -> None:
    commands = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    for command in runner.targets:
        assert f"## ssl-registry {command}" in commands
    names = (DOCS / "reference" / "python_ssl_registry.md").read_text(encoding="utf-8")
    for name in set(ssl_registry.__all__) - {"__version__"}:
        assert re.search(rf"^::: ssl_registry\..*\b{name}$", names, re.MULTILINE), name


def test_every_bundled_component_has_its_page(pages: Mapping[str, str]) -> None:
    for found in components():
        kind, name = found.component.kind, found.component.name
        if found.plugin.distribution != "ssl-registry" or kind in NO_PAGE:
            continue
        if kind in ("preset", "study"):
            page = {"preset": "presets.md", "study": "studies.md"}[kind]
            assert f"\n## {name}\n" in pages[page]
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


def test_docstrings_become_markdown(generator: Callable[[str], ModuleType]) -> None:
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

    text = generator("generation.markdown").text_of(sample)
    assert text.prose == (
        "What it is.\n\nWith $a_1$ and\n\n```math\nb = \\frac{1}{2}\n+ c\n```\n\nas in:\n\n    code"
    )
    assert text.refusals == ("This is wrong.", "That is.")
