from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ssl_registry.errors import RunError
from ssl_registry.evaluation.aggregate import aggregate
from ssl_registry.evaluation.table import EvaluatedImage, metrics_table
from ssl_registry.report.comparison_report import (
    ComparisonReport,
    headlines,
    write_comparison_report,
)
from ssl_registry.report.curves import curve, scalars, x_axis
from ssl_registry.report.gallery import GalleryItem
from ssl_registry.report.numbers import duration, mean_sd, number
from ssl_registry.report.run_report import RunReport, write_run_report

EVIL = '<script>alert("x")</script>&"\'$x_1$'
LOG = [
    {"epoch": e, "step": 3 * e, "loss": 1 / e, "validation/dice/lesion": 1 - 1 / e, "note": "-"}
    for e in range(1, 6)
]


class Page(HTMLParser):
    """What a browser would load, and the text it would show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "srcset", "data"} and tag != "a":
                self.loaded.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def disc(shift: int = 0) -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return ((y - 24) ** 2 + (x - 30 - shift) ** 2 < 100).astype(np.uint8)


def item(name: str, arms: tuple[str, ...], label: str | None = "benign") -> GalleryItem:
    image = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    return GalleryItem(
        name, label, image, disc(), {a: disc(3) for a in arms}, dict.fromkeys(arms, 0.8125)
    )


def run_report() -> RunReport:
    images = [
        EvaluatedImage(EVIL, EVIL, np.zeros((1, 48, 64), np.float32), disc(), disc()),
        EvaluatedImage("normal", "normal", np.ones((1, 48, 64), np.float32), 0 * disc()),
    ]
    table = metrics_table(images, ["lesion"], 0.5, True)
    part = {"kind": "task", "name": "supervised", "plugin": EVIL, "version": "1.2.3"}
    return RunReport(
        title=EVIL,
        kind="finetune",
        config={"key": EVIL},
        provenance=[part],
        environment={"torch": EVIL},
        log=LOG,
        summary={EVIL: 3, "best": 0.73125, "undefined": math.nan},
        metrics=table,
        aggregates=aggregate(table, "normal"),
        gallery=[item(EVIL, (EVIL,), EVIL)],
        warnings=[EVIL],
    )


def comparison(pretrained: list[float], arms: tuple[str, str] = ("scratch", "pre-trained")):
    values = {arms[0]: [0.5, 0.6, 0.7], arms[1]: pretrained}
    return ComparisonReport(
        title="Comparison",
        seeds=(3, 4, 5),
        arms={
            arm: [{"dice/lesion": v, "dice/all_empty1": v / 2} for v in of_arm]
            for arm, of_arm in values.items()
        },
        logs={arm: [LOG] * 3 for arm in arms},
        gallery=[item("a", arms)],
        pretraining_log=LOG,
        wall_times={"pre-training": 125.0},
    )


def test_run_report_loads_nothing_and_escapes_everything(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_run_report(path, run_report())
    page = Page(path)
    assert page.loaded
    assert all(address.startswith(("data:image/", "#")) for address in page.loaded)
    assert not re.search(r"url\(|@import|<link", path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    # Title and heading, warning, fact, provenance, environment, gallery, image by image.
    assert page.text.count('<script>alert("x")</script>') >= 9
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_run_report_shows_values_and_their_policy(tmp_path: Path) -> None:
    write_run_report(tmp_path / "report.html", run_report())
    text = Page(tmp_path / "report.html").text
    assert "Fine-tuning" in text
    assert "supervised" in text and "1.2.3" in text
    assert "0.7312" in text
    assert "Dice 0.81" in text
    assert "where the truth is empty, 1 if the prediction is empty, else 0" in text
    assert "Worst lesions" in text and "Largest false alarms" in text


def test_undefined_numbers_are_dashes(tmp_path: Path) -> None:
    write_run_report(tmp_path / "report.html", run_report())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b", re.sub(r"base64,[\w+/=]+", "", html), re.IGNORECASE)
    assert number(math.nan) == number(None) == "\N{EN DASH}"


def test_empty_reports_are_pages(tmp_path: Path) -> None:
    write_run_report(tmp_path / "run.html", RunReport("Empty", "pretrain", {}))
    assert "Pre-training" in Page(tmp_path / "run.html").text
    empty = ComparisonReport("Empty", (0,), {"scratch": [{}], "pre-trained": [{}]})
    write_comparison_report(tmp_path / "comparison.html", empty)
    text = Page(tmp_path / "comparison.html").text
    assert "cannot be compared" in text
    write_comparison_report(tmp_path / "comparison.html", ComparisonReport("No arm", (), {}))


def test_comparison_gives_mean_and_sample_deviation(tmp_path: Path) -> None:
    report = comparison([0.55, 0.7, 0.85])
    write_comparison_report(tmp_path / "comparison.html", report)
    page = Page(tmp_path / "comparison.html")
    # By hand: 0.6 and SD 0.1; 0.7 and SD 0.15; differences 0.05, 0.10, 0.15.
    for text in ("0.600 ± 0.100", "0.700 ± 0.150", "+0.100 ± 0.050", "0.300 ± 0.050"):
        assert text in page.text, text
    assert "pre-trained is higher" in page.text
    assert "2 min 05 s" in page.text
    assert all(address.startswith(("data:image/", "#")) for address in page.loaded)


@pytest.mark.parametrize(
    ("pretrained", "expected", "chance"),
    [
        ([0.6, 0.7, 0.81], "is higher", False),
        ([0.4, 0.5, 0.59], "is lower", False),
        ([0.5, 0.6, 0.7], "are equal", False),
        ([0.7, 0.6, 0.6], "is higher", True),
        ([0.5, math.nan, 0.7], "cannot be compared", False),
    ],
)
def test_headline_says_whichever_way_it_falls(
    pretrained: list[float], expected: str, chance: bool
) -> None:
    (sentence,) = headlines(comparison(pretrained))
    assert expected in sentence
    assert ("may be chance" in sentence) == chance


def test_comparison_escapes_the_names_of_arms(tmp_path: Path) -> None:
    write_comparison_report(tmp_path / "c.html", comparison([0.6, 0.7, 0.8], (EVIL, "b")))
    assert "script" not in Page(tmp_path / "c.html").tags


def test_a_page_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        write_run_report(tmp_path / "no such folder" / "r.html", RunReport("x", "pretrain", {}))


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_run_report(tmp_path / name, run_report())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_curves_skip_what_is_no_number() -> None:
    log = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": math.nan}, {"epoch": 3, "loss": 1}]
    drawn = curve(log, "loss")
    assert (drawn.x, drawn.y) == ((1, 3), (2, 1))
    assert scalars([*log, {"epoch": 4, "name": "x", "seconds": 3.0, "done": True}]) == ["loss"]
    assert x_axis([{"epoch": 1, "step": 1}, {"epoch": 1, "step": 2}]) == "step"
    assert x_axis([{"loss": 1.0}]) == "row"


def test_numbers_as_they_are_written() -> None:
    from ssl_registry.evaluation.statistics import summarize

    assert mean_sd(summarize([0.5])) == "0.500"
    assert mean_sd(summarize([])) == "\N{EN DASH}"
    assert [duration(s) for s in (4.24, 200, 3900, None)] == [
        "4.2 s",
        "3 min 20 s",
        "1 h 05 min",
        "\N{EN DASH}",
    ]
