"""The report of a study: the table of its runs, and its cells beside the published ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_registry.files import write_text
from ssl_registry.report.study_tables import cells_csv, tables_markdown
from ssl_registry.study.cells import Cell, cells
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.plan import Plan
from ssl_registry.study.published import Published
from ssl_registry.study.rows import Line, write_rows
from ssl_registry.training.run_folder import check_writable


@dataclass(frozen=True)
class StudyResults:
    """What a report of a study is made of; each part of the report is a function of it.

    Attributes:
        folder: The study's folder, for the runs' own files.
        plan: Its plan.
        lines: The lines of its table.
        cells: Its cells.
        published: What it is compared with.
    """

    folder: StudyFolder
    plan: Plan
    lines: tuple[Line, ...]
    cells: tuple[Cell, ...]
    published: Published


def study_results(folder: StudyFolder) -> StudyResults:
    """The results of a study as far as it is done; writes its `rows.csv`.

    Raises:
        RunError: The folder holds no study, or is not writable.
    """
    plan = folder.plan()
    table = write_rows(plan, folder)
    published = Published(plan.published)
    found = cells(plan.axes, table, published)
    return StudyResults(folder, plan, tuple(table), tuple(found), published)


def write_report(folder: StudyFolder) -> list[Path]:
    """Write `report/` into a study's folder; gives the files.

    Raises:
        RunError: The folder holds no study, or is not writable.
    """
    results = study_results(folder)
    out = folder.path / "report"
    check_writable(out)
    pages = {
        "cells.csv": cells_csv(results.cells),
        "tables.md": tables_markdown(
            results.plan.title, results.cells, results.published.stands_for
        ),
    }
    for name, text in pages.items():
        write_text(out / name, text)
    return [out / name for name in pages]
