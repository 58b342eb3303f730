"""The report of a study, made of what its runs left on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssl_registry.files import write_bytes, write_text
from ssl_registry.report.study_csv import comparisons_csv, means_csv
from ssl_registry.report.study_markdown import study_markdown
from ssl_registry.report.study_page import write_study_page
from ssl_registry.report.study_pictures import report_pictures
from ssl_registry.report.study_report import PanelReport, StudyReport
from ssl_registry.report.study_tables import cells_csv
from ssl_registry.study.cells import POLICIES, Cell, cells
from ssl_registry.study.comparing import panel_statistics
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.method_means import method_means
from ssl_registry.study.panels import panels
from ssl_registry.study.pictures import panel_gallery
from ssl_registry.study.plan import Plan
from ssl_registry.study.published import Published
from ssl_registry.study.records import records
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


def study_report(results: StudyResults, *, images: bool = True) -> StudyReport:
    """Everything the report says: panels, statistics, galleries, what the runs recorded.

    Args:
        results: The results.
        images: Whether it shows test images; without them it can be given to people who may not
            have the data.
    """
    folder, plan = results.folder, results.plan
    toml = folder.path / "study.toml"
    return StudyReport(
        title=plan.title,
        axes=plan.axes,
        planned={kind: plan.count(kind) for kind in ("pretrain", "finetune")},
        lines=results.lines,
        cells=results.cells,
        panels=[
            PanelReport(
                panel=panel,
                statistics=panel_statistics(folder, panel),
                means=tuple(method_means(panel, results.published, POLICIES)),
                gallery=panel_gallery(folder, panel) if images else None,
            )
            for panel in panels(plan, results.cells)
        ],
        records=records(plan, folder),
        compared=bool(results.published.figures),
        stands_for=results.published.stands_for,
        left_out=plan.left_out,
        text=toml.read_text(encoding="utf-8-sig") if toml.is_file() else "",
    )


def write_report(folder: StudyFolder, *, images: bool = True) -> list[Path]:
    """Write `report/` into a study's folder; gives the files.

    Args:
        folder: The study's folder.
        images: Whether the report shows test images with the masks of all arms.

    Raises:
        RunError: The folder holds no study, or is not writable.
    """
    report = study_report(study_results(folder), images=images)
    out = folder.path / "report"
    check_writable(out)
    pictures = report_pictures(report)
    for name, picture in pictures.items():
        write_bytes(out / name, picture.png)
    for old in out.glob("*.png"):
        if old.name not in pictures:
            old.unlink()
    titles = {name: picture.title for name, picture in pictures.items()}
    pages = {
        "report.md": study_markdown(report, titles),
        "cells.csv": cells_csv(report.cells),
        "comparisons.csv": comparisons_csv(report),
        "means.csv": means_csv(report),
    }
    for name, text in pages.items():
        write_text(out / name, text)
    write_study_page(out / "report.html", report)
    return [out / name for name in ("report.html", *pages, *pictures)]
