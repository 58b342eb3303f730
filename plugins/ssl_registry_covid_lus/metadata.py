"""The release's `dataset_metadata.csv`: patient, licence and source of each recording."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ssl_registry import DataError

FILE_NAME, LOCATION = "Filename", "Current location"
PATIENT, LICENCE, SOURCE = "Patient ID / Name", "License", "URL (Video Name)"

_NOTHING = {"", "none", "n/a", "n.a.", "nd"}


@dataclass(frozen=True)
class _Row:
    location: str
    meta: Mapping[str, str]


class Metadata:
    """What is known of each recording, found by its name and folder."""

    def __init__(self, rows: Mapping[str, list[_Row]]) -> None:
        self._rows = rows

    def of(self, stem: str, folder: str) -> Mapping[str, str]:
        """What the release says of a recording; empty if it says nothing.

        Args:
            stem: File name without suffix; upper and lower case are the same.
            folder: Such as `pocus_videos/convex`; it decides where a name occurs twice.

        Returns:
            As far as known, `patient`, `licence` and `source`.
        """
        rows = self._rows.get(_tidy(stem).casefold(), [])
        here = [row for row in rows if row.location.endswith(folder)]
        chosen = here or (rows if len(rows) == 1 else [])
        return chosen[0].meta if chosen else {}


def read_metadata(path: Path) -> Metadata:
    """Read the table.

    Raises:
        DataError: It cannot be read, lacks a column, or a row has too few or too many cells;
            names the file and the line.
    """
    rows: dict[str, list[_Row]] = {}
    try:
        # Some commits hold damaged letters, but only in comments, which are not used.
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for cells in _records(file, path):
                name = _tidy(cells[FILE_NAME]).casefold()
                rows.setdefault(name, []).append(_row(cells))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return Metadata(rows)


def _records(lines: Iterator[str], path: Path) -> Iterator[Mapping[str, str]]:
    """The rows by column; a cell may hold line breaks."""
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        lacking = [
            name for name in (FILE_NAME, LOCATION, PATIENT, LICENCE, SOURCE) if name not in header
        ]
        if lacking:
            raise DataError(
                f"{path}, line 1: the table lacks the columns {', '.join(map(repr, lacking))}; "
                "copy it from the release again"
            )
        for cells in reader:
            if cells and len(cells) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: a row of {len(cells)} cells under a header "
                    f"of {len(header)}; copy it from the release again"
                )
            if cells:
                yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: {error}; copy it from the release again"
        ) from error


def _row(cells: Mapping[str, str]) -> _Row:
    facts = {
        "patient": _tidy(cells[PATIENT]),
        # Written `CC BY-NC -SA 4.0` by some rows.
        "licence": re.sub(r"\s*-\s*", "-", _tidy(cells[LICENCE])),
        "source": _tidy(cells[SOURCE]),
    }
    known = {key: value for key, value in facts.items() if value.casefold() not in _NOTHING}
    return _Row(location=_tidy(cells[LOCATION]).casefold(), meta=known)


def _tidy(cell: str) -> str:
    return " ".join(cell.split())
