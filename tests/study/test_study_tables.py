"""Published figures and the tables of a study, against values worked out by hand."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from ssl_registry.config.study import NONE, TAKEN
from ssl_registry.report.study_tables import cells_csv, tables_markdown
from ssl_registry.study.cells import cells
from ssl_registry.study.published import AXES, Published, read_figures
from ssl_registry.study.rows import as_csv, columns


def line(method: str, seed: int, dice: float | None, **more: Any) -> dict[str, Any]:
    done = dice is not None
    found: dict[str, Any] = {
        "study": "s",
        "method": method,
        "pretraining_data": NONE if method == "supervised" else "multi-organ",
        "architecture": "mine",
        "image_size": 50,
        "fraction": 0.1,
        "seed": seed,
        "status": "done" if done else "failed",
        "steps": 1700 if done else None,
        "pretraining_steps": None if method == "supervised" else 1000,
    }
    if dice is not None:
        found |= {"dice/all_empty1": dice, "dice/lesion": dice + 0.1}
    return found | more


LINES = [
    line("supervised", 0, 0.5),
    line("supervised", 1, 0.52),
    line("moco", 0, 0.6),
    line("moco", 1, 0.7),
    line("moco", 2, None, error="lost"),
]
NAMES = ("method", "pretraining_data", "architecture", "image_size", "fraction", "seed")
SETTINGS = {"name": "multi-organ-study", "stands_for": {"architecture": {"mine": "unet"}}}


def test_published_figures_are_the_papers() -> None:
    figures = read_figures("multi-organ-study")
    tables = [figure.table for figure in figures]
    assert {table: tables.count(table) for table in tables} == {
        **dict.fromkeys("1234", 52),
        **dict.fromkeys(("A.5", "A.6", "A.7", "A.8"), 20),
    }
    published = Published({"name": "multi-organ-study"})
    axes = dict(zip(AXES, ("moco", "multi-organ", "unet", 50, 1.0), strict=True))
    headline = published.of(axes)
    assert headline is not None
    assert (headline.mean, headline.std, headline.table) == (0.723, 0.032, "4")
    assert published.of({**axes, "architecture": "resnet18-unet"}) is None
    supervised = published.of({**axes, "method": "supervised", "pretraining_data": NONE})
    assert supervised is not None and supervised.table == "4"  # printed in A.8 as well
    assert Published(None).of(axes) is None
    means = [f for f in figures if f.axes["method"] == "mean of 3 methods"]
    assert all(math.isnan(figure.std) for figure in means)


def test_the_means_of_the_paper_are_those_of_its_tables() -> None:
    figures = {
        (
            f.axes["image_size"],
            f.axes["architecture"],
            *(f.axes[a] for a in AXES[:2]),
            f.axes["fraction"],
        ): f
        for f in figures_of("1", "2", "3", "4")
    }
    wrong = 0
    for figure in figures_of("A.5", "A.6", "A.7", "A.8"):
        if figure.axes["method"] == "supervised":
            continue
        rest = (figure.axes["pretraining_data"], figure.axes["fraction"])
        place = (figure.axes["image_size"], figure.axes["architecture"])
        three = [figures[(*place, m, *rest)].mean for m in ("moco", "simclr", "simsiam")]
        wrong += abs(sum(three) / 3 - figure.mean) > 0.00085
    assert wrong == 3


def figures_of(*tables: str) -> list[Any]:
    return [f for f in read_figures("multi-organ-study") if f.table in tables]


def test_cells_take_seeds_together() -> None:
    supervised, moco = cells(NAMES, LINES, Published(SETTINGS))
    assert "seed" not in moco.axes
    assert (len(moco.lines), moco.failed, moco.missing) == (2, 1, 0)
    summary = moco.summary("dice/all_empty1")
    assert summary.mean == pytest.approx(0.65)
    assert summary.sd == pytest.approx(0.05 * math.sqrt(2))
    # Table 4: MoCo on several organs at 10 % 0.688, supervised 0.505.
    assert moco.difference("dice/all_empty1") == pytest.approx(0.65 - 0.688)
    assert supervised.difference("dice/all_empty1") == pytest.approx(0.51 - 0.505)


def test_both_tables_say_the_same() -> None:
    found = cells(NAMES, LINES, Published(SETTINGS))
    text = tables_markdown(found, SETTINGS["stands_for"])
    assert "| moco | multi-organ | mine | 50 |" in text
    assert "0.650 ± 0.071 (2), 1 failed [0.688 ± 0.041] -0.038 | 1000 + 1700 |" in text
    assert "0.510 ± 0.014 (2) [0.505 ± 0.031] +0.005 | 1700 |" in text
    assert "beside `mine` are of `unet`" in text
    rows = list(csv.DictReader(io.StringIO(cells_csv(found))))
    moco = rows[1]
    assert (moco["runs"], moco["failed"], moco["steps"]) == ("2", "1", "1700")
    assert moco["dice/lesion mean"] == "0.7500"
    assert moco["published mean"] == "0.688" and moco["published table"] == "4"


def test_doubtful_figures_are_marked() -> None:
    lines = [
        line("simsiam", 0, 0.6, pretraining_data="BUS+mini-ImageNet", fraction=1.0),
    ]
    text = tables_markdown(cells(NAMES, lines, Published(SETTINGS)), {})
    assert "[0.693 ± 0.038*] -0.093" in text
    assert "Printed 0.693; Table A.8 and the trend of the row fit 0.638." in text


def test_no_axis_can_be_called_as_a_column() -> None:
    rows = csv.DictReader(io.StringIO(cells_csv(cells(NAMES, LINES, Published(SETTINGS)))))
    names = {name for name in rows.fieldnames or () if name.isidentifier()}
    assert {"runs", "note", "steps"} <= names
    assert names - set(NAMES) <= TAKEN


def test_columns_begin_with_who_and_end_with_times() -> None:
    table = [{"study": "s", "dice/b": 1.0, "seconds": 2.0, "dice/lesion": 0.5, "steps": 3}]
    names = columns(table)
    assert names == ["study", "steps", "dice/lesion", "dice/b", "seconds"]
    assert as_csv(names, table) == "study,steps,dice/lesion,dice/b,seconds\ns,3,0.5,1.0,2.0\n"
