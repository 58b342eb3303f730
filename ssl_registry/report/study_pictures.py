"""The pictures of a study's report as PNG files."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ssl_registry.report.gallery import figure_png, gallery_figure
from ssl_registry.report.study_curves import panel_figure
from ssl_registry.report.study_report import StudyReport
from ssl_registry.report.study_view import NAMES, of_labels


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows."""

    title: str
    png: bytes


def report_pictures(report: StudyReport) -> dict[str, Picture]:
    """By file name, curves of each panel and policy, and galleries."""
    found: dict[str, Picture] = {}
    for number, one in enumerate(report.panels, 1):
        name = f"{number}-{_file_name(one.panel.title)}"
        for policy, words in NAMES.items():
            figure = panel_figure(
                one.panel, policy, one.statistics.means, f"Dice, {words}", legend=True
            )
            if figure is not None:
                title = f"Dice over {words} against the share of the labels: {one.panel.title}"
                file = f"curves-{name}-{_file_name(words)}.png"
                found[file] = Picture(title, figure_png(figure))
        if one.gallery is not None and one.gallery.items:
            shown = filter(None, (one.panel.title, of_labels(one.gallery.column)))
            title = f"Test images, truth and predictions: {', '.join(shown)}"
            picture = figure_png(gallery_figure(one.gallery.items))
            found[f"gallery-{name}.png"] = Picture(title, picture)
    return found


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
