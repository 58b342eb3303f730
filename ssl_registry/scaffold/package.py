"""The files of a new plugin, rendered from the templates of its kind."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Self

import ssl_registry
from ssl_registry.errors import UserError
from ssl_registry.files import new_folder
from ssl_registry.scaffold.names import PluginNames
from ssl_registry.spec import API_VERSION

if TYPE_CHECKING:
    from jinja2 import Environment

SUMMARIES: Final = {
    "method": "Predicts which quarter of an image it sees",
    "backbone": "Strided 3x3 convolutions with batch normalisation",
    "decoder": "Adds up the levels of a pyramid from coarse to fine",
    "dataset": "Gray images with masks, from a folder of PNG files",
    "augmentation": "Two views by crop and left-right flip",
}
PLUGIN_KINDS: Final = tuple(SUMMARIES)
"""The kinds there are templates for."""

LICENCES: Final = ("Apache-2.0", "MIT", "BSD-3-Clause", "none")

_SUFFIX: Final = ".jinja"
_HIDDEN: Final = "dot-"
"""What the name of a hidden file or folder begins with among the templates."""
_INCLUDED: Final = "readme.md.jinja"
"""The part of the README that differs by kind."""


@dataclass(frozen=True)
class Author:
    """Who wrote a plugin: a name, and an e-mail address or nothing."""

    name: str
    email: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """An author from `Name` or `Name <address>`.

        Raises:
            UserError: There is no name, or it has control characters.
        """
        match = re.fullmatch(r"([^<>]+?)\s*(?:<([^<>\s]+@[^<>\s]+)>)?", text.strip())
        if match is None or not text.isprintable():
            raise UserError(f"the author {text!r} is not of the form 'Name' or 'Name <address>'")
        return cls(match[1], match[2] or "")


def write_package(
    into: Path, names: PluginNames, licence: str, author: Author
) -> tuple[Path, tuple[str, ...]]:
    """Write a new plugin into a folder of its own, all or nothing.

    Args:
        into: The folder that the plugin's folder is made in.
        names: What the plugin and its parts are called.
        licence: One of `LICENCES`.
        author: Who holds the copyright.

    Returns:
        The plugin's folder and the paths of its files below it.

    Raises:
        UserError: Something of that name is there already.
        RunError: The place is not writable.
    """
    target = into / names.distribution
    if target.exists() or target.is_symlink():
        raise UserError(
            f"{target} is there already and is not overwritten; choose another NAME or --into"
        )
    files = render(names, licence, author)
    with new_folder(target) as folder:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    return target, tuple(files)


def render(names: PluginNames, licence: str, author: Author) -> Mapping[str, str]:
    """The texts of all files of a plugin, by their paths below its folder."""
    environment = _environment()
    facts = {
        **asdict(names),
        "author": author.name,
        "email": author.email,
        "licence": licence,
        "summary": SUMMARIES[names.kind],
        "api": API_VERSION,
        "version": ssl_registry.__version__,
        "year": datetime.datetime.now(tz=datetime.UTC).year,
    }
    return {
        path: environment.get_template(template).render(facts)
        for path, template in _files(environment, names, licence)
    }


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ssl_registry", "templates/plugin"),
        autoescape=False,  # what is written is Python, TOML and Markdown, not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # A JSON string is a TOML string as well.
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    return environment


def _files(environment: Environment, names: PluginNames, licence: str) -> Iterator[tuple[str, str]]:
    """Where each file goes and which template it is made from."""
    for template in environment.list_templates():
        folder, *inner = PurePosixPath(template).parts
        if folder not in ("common", names.kind) or inner == [_INCLUDED]:
            continue
        top = names.package if inner[0] == "package" else inner[0].replace(_HIDDEN, ".")
        yield "/".join([top, *inner[1:]]).removesuffix(_SUFFIX), template
    if licence != "none":
        yield "LICENSE", f"licences/{licence}{_SUFFIX}"
