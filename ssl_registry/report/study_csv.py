"""The comparisons and the means of a study as CSV, beside the table of its cells."""

from __future__ import annotations

import math
from typing import Any

from ssl_registry.report.study_report import PanelReport, StudyReport
from ssl_registry.study.cells import POLICIES
from ssl_registry.study.rows import as_csv


def comparisons_csv(report: StudyReport) -> str:
    """A line for each cell and policy: mean with its interval, and against the baseline."""
    table = [line for one in report.panels for line in _comparisons(one)]
    return as_csv(list(dict.fromkeys(name for line in table for name in line)), table)


def _comparisons(one: PanelReport) -> list[dict[str, Any]]:
    table = []
    for arm in one.panel.arms:
        for column, cell in arm.cells.items():
            for policy in POLICIES:
                key = (policy, arm.label, column)
                interval = one.statistics.means.get(key)
                against = one.statistics.against.get(key)
                line = {"study": one.panel.study, **one.panel.axes, **arm.axes, "fraction": column}
                line |= {"policy": policy, "runs": len(cell.lines)}
                line |= {"mean": digits(cell.summary(policy).mean)}
                line |= {"low": "", "high": "", "images": "", "pairs": "", "baseline runs": ""}
                if interval is not None:
                    line |= {"low": digits(interval.low), "high": digits(interval.high)}
                names = ("difference", "difference low", "difference high", "median", "p", "p Holm")
                line |= dict.fromkeys((*names, "verdict"), "")
                if against is not None:
                    ends = against.difference
                    values = (ends.value, ends.low, ends.high, against.median)
                    line |= {n: digits(v) for n, v in zip(names, values, strict=False)}
                    line |= {"p": f"{against.p:.3g}", "p Holm": f"{against.adjusted:.3g}"}
                    line |= {"images": against.images, "pairs": against.pairs}
                    line["baseline runs"] = against.baseline_runs
                    line["verdict"] = against.verdict or "neither"
                table.append(line)
    return table


def means_csv(report: StudyReport) -> str:
    """A line for each mean over methods: both policies, and the published mean."""
    table = []
    for one in report.panels:
        for row in one.means:
            for column, of in row.means.items():
                line = {"study": one.panel.study, **one.panel.axes, "pre-trained on": row.label}
                line |= {"fraction": column, "methods": of.methods}
                line |= {"methods done": len(of.done[POLICIES[0]])}
                line |= {policy: digits(of.value(policy)) for policy in POLICIES}
                line["published table"] = of.figure.table if of.figure else ""
                line["published"] = of.figure.mean if of.figure else ""
                line["difference"] = digits(of.difference(POLICIES[0]))
                line["note"] = of.figure.note if of.figure else ""
                table.append(line)
    return as_csv(list(dict.fromkeys(name for line in table for name in line)), table)


def digits(value: float | None) -> str:
    """A number with four decimals; "" where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.4f}"
