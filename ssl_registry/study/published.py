"""Published figures, and which of them belongs to a cell of a study."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ssl_registry import registry
from ssl_registry.config.study import PublishedConfig
from ssl_registry.errors import PluginError

AXES: Final = ("method", "pretraining_data", "architecture", "image_size", "fraction")
"""Columns of a file of published figures that say which cell a line is."""
_COLUMNS: Final = ("table", *AXES, "mean", "std", "note")


@dataclass(frozen=True)
class Figure:
    """A published cell.

    Attributes:
        table: The table it is printed in.
        axes: Its value of each axis, as text; numbers without trailing zeros.
        mean: The mean that is printed.
        std: The spread that is printed; NaN for none.
        note: What is doubtful about it.
    """

    table: str
    axes: Mapping[str, str]
    mean: float
    std: float
    note: str


class Published:
    """The figures that a study is compared with."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        """Read them.

        Args:
            config: The study's `published`; None for no comparison.

        Raises:
            ComponentNotFoundError: No plugin has such figures.
            PluginError: Their file is not as it should be.
        """
        settings = None if config is None else PublishedConfig.model_validate(config)
        self.name = "" if settings is None else settings.name
        self.stands_for = {} if settings is None else settings.stands_for
        self.figures = read_figures(self.name) if settings is not None else ()
        # A cell that is printed twice is of the table that has it first.
        self._by_cell = {
            tuple(figure.axes[axis] for axis in AXES): figure for figure in reversed(self.figures)
        }

    def of(self, axes: Mapping[str, Any]) -> Figure | None:
        """The figure for a cell with these values of the axes, if there is one."""
        key = tuple(self._called(axis, axes.get(axis, "")) for axis in AXES)
        return self._by_cell.get(key)

    def _called(self, axis: str, value: object) -> str:
        text = _text(value)
        return self.stands_for.get(axis, {}).get(text, text)


def read_figures(name: str) -> tuple[Figure, ...]:
    """The figures of a component of kind `published`, in the order of its file.

    Raises:
        ComponentNotFoundError: There is none of that name.
        PluginError: Its file is not as it should be.
    """
    text = registry.resource("published", name)
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise PluginError(f"published figures {name!r} need the columns {', '.join(_COLUMNS)}")
    return tuple(
        Figure(
            table=row["table"],
            axes={axis: _text(row[axis]) for axis in AXES},
            mean=float(row["mean"]),
            std=float(row["std"]) if row["std"] else math.nan,
            note=row["note"],
        )
        for row in reader
    )


def _text(value: object) -> str:
    """A value of an axis as text: `1.0`, `1` and 1 are the same."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)
