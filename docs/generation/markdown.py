"""Docstrings and tables as Markdown."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"^(Args|Attributes|Example|Examples|Raises|Returns|Warns):$")


@dataclass(frozen=True)
class Text:
    """A docstring in Markdown.

    Attributes:
        prose: What stands before its sections.
        refusals: The items of its section `Raises`.
    """

    prose: str
    refusals: tuple[str, ...] = ()


def text_of(documented: object) -> Text:
    """The docstring of a class or function, as Markdown."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    parts: dict[str, list[str]] = {"": []}
    part = ""
    for line in lines:
        heading = _HEADING.match(line)
        if heading:
            part = heading[1]
        parts.setdefault(part, []).append("" if heading else line)
    return Text(markdown("\n".join(parts[""]).strip()), tuple(_items(parts.get("Raises", []))))


def _items(lines: Iterable[str]) -> Iterator[str]:
    """The items of a section; an item goes on in lines that are indented further."""
    for item in re.split(r"\n(?=\S)", textwrap.dedent("\n".join(lines)).strip()):
        _, _, what = " ".join(item.split()).partition(": ")
        if what:
            yield what[0].upper() + what[1:]


def markdown(text: str) -> str:
    """Docstring markup (`.. math::`, `:math:`, `::`) as that of Markdown."""
    display = re.compile(r"^\.\. math::(.*)\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", re.MULTILINE)
    text = display.sub(_display, text + "\n").rstrip("\n")
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text)


def _display(match: re.Match[str]) -> str:
    formula = "\n".join(part for part in (match[1].strip(), textwrap.dedent(match[2])) if part)
    return f"```math\n{formula.strip()}\n```\n\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
    )
