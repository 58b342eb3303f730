"""Reading `bus_data.csv`: one row for each image of the release."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ssl_registry import DataError

LABELS: Final = ("benign", "malignant")
_FACTS: Final = {
    "histology": "histology",
    "birads": "birads",
    "device": "device",
    "side": "side",
}
"""Columns that may be missing, in lower case, by the name they have in `Sample.meta`."""
_NEEDED: Final = ("ID", "Case", "Pathology")
_ID: Final = re.compile(r"bus_[0-9]+-[a-z]+")


@dataclass(frozen=True)
class Row:
    """What the table tells of one image.

    Attributes:
        id: Such as `bus_0001-l`.
        case: The patient.
        label: `benign` or `malignant`.
        facts: Histology, BI-RADS category, device and side, where told.
    """

    id: str
    case: str
    label: str
    facts: Mapping[str, str]

    @property
    def mask(self) -> str:
        """The name of its mask, such as `mask_0001-l`."""
        return f"mask_{self.id.removeprefix('bus_')}"


def read_table(path: Path) -> list[Row]:
    """The rows of the table, by id.

    Columns are found by their names, in any order and letter case; others are passed over.

    Raises:
        DataError: The table cannot be read, lacks a column, or has a row without an id, case or
            known pathology, or two rows of one id; names the line and the column.
    """
    rows: dict[str, Row] = {}
    for line, cells in _lines(path):
        row = _row(cells, f"{path}, line {line}")
        if row.id in rows:
            raise DataError(f"{path}, line {line}: the ID {row.id} has a row already")
        rows[row.id] = row
    return [rows[name] for name in sorted(rows)]


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells, by column in lower case."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            _check_columns(columns, path)
            for values in reader:
                if any(value.strip() for value in values):
                    cells = (value.strip() for value in values)
                    yield reader.line_num, dict(zip(columns, cells, strict=False))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}; unpack the release again") from error


def _check_columns(columns: Sequence[str], path: Path) -> None:
    for name in _NEEDED:
        if columns.count(name.lower()) != 1:
            raise DataError(
                f"{path} must have one column {name}, but its first line has "
                f"{', '.join(columns) or 'none'}; unpack the release again"
            )


def _row(cells: Mapping[str, str], place: str) -> Row:
    name, case, label = (cells.get(column.lower(), "") for column in _NEEDED)
    if not _ID.fullmatch(name):
        raise DataError(f"{place}: the ID is {name!r}, but must be such as bus_0001-l")
    if not case:
        raise DataError(f"{place}: the column Case is empty, but says which images belong together")
    if label.lower() not in LABELS:
        raise DataError(f"{place}: the Pathology is {label!r}, but must be {' or '.join(LABELS)}")
    facts = {fact: cells[column] for column, fact in _FACTS.items() if cells.get(column)}
    return Row(id=name, case=case, label=label.lower(), facts=facts)
