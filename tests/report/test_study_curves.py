"""Curves of a study: where points and bars lie, and that no two arms look alike."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from ssl_registry.evaluation.bootstrap import Estimate
from ssl_registry.report.colors import INK, LINES
from ssl_registry.report.gallery import figure_png
from ssl_registry.report.study_curves import DASHES, MARKERS, arm_styles, panel_figure
from ssl_registry.report.study_page import swatches
from ssl_registry.study.cells import POLICIES, Cell
from ssl_registry.study.panels import Arm, Panel

COLUMNS = (1.0, 0.5, 0.1)
METHODS = ("moco", "simclr", "simsiam")
# Machado et al. 2009, severity 1: linear RGB as seen without red, and without green, cones.
EYES = (
    np.eye(3),
    np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
)


def made_up(sets: int) -> tuple[Panel, dict[tuple[str, str, Any], Estimate]]:
    """A baseline, and each method on each set; every Dice has another interval."""
    names = [f"set {number}" for number in range(sets)]
    arms = [("supervised", "none"), *itertools.product(METHODS, names)]
    means: dict[tuple[str, str, Any], Estimate] = {}
    found = []
    for number, (method, data) in enumerate(arms):
        label, cells = f"{method}, {data}", {}
        for place, column in enumerate(COLUMNS):
            value = 0.7 - 0.1 * place + 0.01 * number
            cells[column] = Cell("s", {}, ({POLICIES[0]: value},), 0, 0, None)
            means[POLICIES[0], label, column] = Estimate(value, value - 0.03, value + 0.05)
        axes = {"method": method, "pretraining_data": data}
        found.append(Arm(label, axes, method == "supervised", cells))
    return Panel("s", "made up", {}, COLUMNS, tuple(found)), means


@pytest.mark.parametrize("sets", [1, 9])
def test_no_two_arms_look_alike(sets: int) -> None:
    panel, _ = made_up(sets)
    styles = arm_styles(panel)
    looks = {(one.color, one.marker, one.dash, one.bold) for one in swatches(panel)}
    assert len(looks) == len(set(styles.values())) == len(panel.arms) == 3 * sets + 1
    # A method keeps its marker, and a set its colour, as long as colours last.
    first = [styles[f"{method}, set 0"] for method in METHODS]
    assert [style.marker for style in first] == list(MARKERS[:3])
    assert {style.color for style in first} == {LINES[0]}


def test_markers_and_dashes_give_all_their_pairs() -> None:
    assert np.gcd(len(MARKERS), len(DASHES)) == 1
    drawn = swatches(made_up(8 * 3)[0])
    assert len({one.marker for one in drawn}) == len(MARKERS)


@pytest.mark.parametrize("sets", [1, 9])
def test_points_lie_at_their_fraction_and_bars_beside(sets: int) -> None:
    panel, means = made_up(sets)
    figure = panel_figure(panel, POLICIES[0], means, "Dice", legend=True)
    assert figure is not None
    (axes,) = figure.axes
    lines = [points for line in axes.lines if len(points := np.asarray(line.get_xydata()))]
    for arm, points in zip(panel.arms, lines, strict=True):
        assert points[:, 0].tolist() == [0, 1, 2]
        ours = [arm.cells[column].summary(POLICIES[0]).mean for column in sorted(COLUMNS)]
        assert points[:, 1].tolist() == pytest.approx(ours)
    bars = [one.get_segments() for one in axes.collections if isinstance(one, LineCollection)]
    places = np.array([[segment[0][0] for segment in of_arm] for of_arm in bars])
    assert len(set(places[:, 0])) == len(panel.arms)
    assert np.abs(places - [0, 1, 2]).max() < 0.1
    low, high = bars[0][0][:, 1]
    value = panel.arms[0].cells[0.1].summary(POLICIES[0]).mean
    assert (low, high) == pytest.approx((value - 0.03, value + 0.05))
    assert figure_png(figure)  # a legend too high for the figure would be warned of


def linear(color: str) -> Any:
    shares = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def oklab(rgb: Any) -> Any:
    """Ottosson 2020, in parts of a hundred."""
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return 100 * opponents @ np.cbrt(cones @ rgb.clip(0, 1))


def test_colours_are_told_apart_by_all_eyes_and_on_both_pages() -> None:
    for color in (*LINES, INK):
        luminance = float(linear(color) @ [0.2126, 0.7152, 0.0722])
        # WCAG 2.2, 1.4.11: 3 to 1 for what is drawn, on white and on black.
        assert min(1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05) >= 3, color
    for one, other in itertools.combinations(LINES, 2):
        for eye in EYES:
            distance = oklab(eye @ linear(one)) - oklab(eye @ linear(other))
            # The nearest two of Okabe and Ito's eight colours are 7.6 apart.
            assert np.linalg.norm(distance) >= 7, (one, other)
