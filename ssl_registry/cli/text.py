"""Plain text for the terminal: aligned columns, and help that keeps its lines."""

from __future__ import annotations

import inspect
from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Rows of equally many cells as text, columns two spaces apart, the last one unpadded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join((indent + line).rstrip() for line in lines)


def verbatim(text: str) -> str:
    """Help text whose lines click must not join: it is marked with a backspace."""
    return "\b\n" + inspect.cleandoc(text)
