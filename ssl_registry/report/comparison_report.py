"""The report of a comparison: the same network fine-tuned from several beginnings, over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ssl_registry.evaluation.policies import explain
from ssl_registry.evaluation.statistics import Summary, paired_differences, summarize
from ssl_registry.report.curves import Curve, Row, curve, curves_svg, scalars, seeds_svg, x_axis
from ssl_registry.report.gallery import GalleryItem
from ssl_registry.report.numbers import mean_sd
from ssl_registry.report.page import as_json, write_page
from ssl_registry.report.panels import gallery_rows, legend
from ssl_registry.report.run_report import log_pictures

HEADLINE: Final = "dice/lesion"
_MAIN: Final = (HEADLINE, "dice/all_empty1", "normal_false_positive_rate")


@dataclass(frozen=True)
class ComparisonReport:
    """What the report of a comparison is made of.

    Attributes:
        title: Heading of the page.
        seeds: The seeds, shared by all arms.
        arms: By name, the aggregates of each seed, in the order of `seeds`. The first arm is the
            baseline that the others are compared with.
        logs: By arm, the fine-tuning log of each seed.
        gallery: Test images with the predictions of the arms.
        pretraining_log: The log of the pre-training.
        wall_times: Seconds, by what took them.
        summary: Further facts, such as numbers of images and steps.
        config: The resolved config.
        provenance: Of each component: kind, name, plugin, distribution, version.
        environment: Versions of libraries, device, precision, threads.
        warnings: What the reader must know before trusting the numbers.
    """

    title: str
    seeds: Sequence[int]
    arms: Mapping[str, Sequence[Mapping[str, float]]]
    logs: Mapping[str, Sequence[Sequence[Row]]] = field(default_factory=dict)
    gallery: Sequence[GalleryItem] = ()
    pretraining_log: Sequence[Row] = ()
    wall_times: Mapping[str, float] = field(default_factory=dict)
    summary: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Sequence[Mapping[str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def values(self, arm: str, name: str) -> list[float]:
        """One aggregate of an arm, seed by seed; NaN where a seed lacks it."""
        return [_number(of_seed.get(name)) for of_seed in self.arms[arm]]

    def difference(self, arm: str, name: str = HEADLINE) -> Summary:
        """Mean and spread of an arm's differences from the baseline, paired by seed."""
        baseline = next(iter(self.arms))
        return summarize(paired_differences(self.values(arm, name), self.values(baseline, name)))


def headlines(report: ComparisonReport) -> list[str]:
    """A sentence per compared arm, whichever way its difference falls."""
    arms = list(report.arms)
    return [_headline(report, arms[0], arm) for arm in arms[1:]]


def _headline(report: ComparisonReport, baseline: str, arm: str) -> str:
    difference = report.difference(arm)
    ours, theirs = (summarize(report.values(name, HEADLINE)) for name in (arm, baseline))
    if math.isnan(difference.mean):
        return f"Lesion Dice of {arm} and {baseline} cannot be compared: a seed has no value."
    verdict = f"{arm} and {baseline} are equal"
    if difference.mean:
        verdict = f"{arm} is {'higher' if difference.mean > 0 else 'lower'}"
    seeds = f"{difference.n} seed" + ("s" if difference.n != 1 else "")
    sentence = (
        f"{verdict}: lesion Dice {mean_sd(ours)} against {mean_sd(theirs)} for {baseline}, "
        f"a difference of {mean_sd(difference, sign=True)} "
        f"(mean ± SD of {seeds}, differences paired by seed)."
    )
    if math.isnan(difference.sd):
        return sentence + " One seed tells nothing about chance."
    if abs(difference.mean) < difference.sd:
        return sentence + " The difference is smaller than its spread: it may be chance."
    return sentence


@dataclass(frozen=True)
class ComparedRow:
    """One aggregate of all arms: mean and spread of each, then differences from the baseline."""

    name: str
    policy: str
    cells: tuple[str, ...]
    differences: tuple[str, ...]


def compared_rows(report: ComparisonReport, names: Sequence[str]) -> list[ComparedRow]:
    """Mean ± SD (divisor n - 1) over the seeds, for each aggregate and arm."""
    return [
        ComparedRow(
            name,
            explain(name),
            tuple(mean_sd(summarize(report.values(arm, name))) for arm in report.arms),
            tuple(
                mean_sd(report.difference(arm, name), sign=True) for arm in list(report.arms)[1:]
            ),
        )
        for name in names
    ]


def write_comparison_report(path: Path, report: ComparisonReport) -> None:
    """Write the report as one HTML file, whole or not at all.

    Raises:
        RunError: The place is not writable.
    """
    known = dict.fromkeys(name for arm in report.arms.values() for seed in arm for name in seed)
    others = [name for name in known if name not in _MAIN]
    values = {arm: report.values(arm, HEADLINE) for arm in report.arms}
    pretraining, further = log_pictures(report.pretraining_log)
    write_page(
        path,
        "comparison.html",
        report=report,
        headlines=headlines(report),
        main_rows=compared_rows(report, [name for name in _MAIN if name in known]),
        other_rows=compared_rows(report, others),
        per_seed=list(zip(report.seeds, *values.values(), strict=True)),
        seeds_picture=seeds_svg(values, HEADLINE) if any(values.values()) else "",
        validation_picture=_validation_picture(report.logs),
        pretraining=pretraining,
        further_curves=further,
        gallery=gallery_rows(report.gallery),
        legend=legend(report.gallery),
        config=as_json(report.config),
    )


def _validation_picture(logs: Mapping[str, Sequence[Sequence[Row]]]) -> str:
    """Validation Dice of all arms and seeds in one picture; "" if no log has any."""
    rows = [log for of_arm in logs.values() for log in of_arm]
    named = dict.fromkeys(name for log in rows for name in scalars(log) if "dice" in name)
    name = min(named, key=lambda name: HEADLINE not in name, default="")
    if not name:
        return ""
    curves: list[Curve] = [
        curve(log, name, label=arm, color=number)
        for number, (arm, of_arm) in enumerate(logs.items())
        for log in of_arm
    ]
    return curves_svg(curves, x_axis(rows[0]), name)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
