"""The table of a study, a line for each fine-tuning; made of the run folders alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ssl_registry.files import write_text
from ssl_registry.study.folder import Failure, StudyFolder
from ssl_registry.study.plan import Plan

DONE, FAILED, MISSING = "done", "failed", "missing"

FIRST: Final = ("dice/lesion", "dice/all_empty1", "normal_false_positive_rate")
"""Aggregates that come first: Dice by both policies, and false alarms."""
TIMES: Final = ("seconds", "pretraining_seconds", "attempts")
"""The last columns; they alone differ between a study that was interrupted and one that was not."""

Line = dict[str, Any]


def lines(plan: Plan, folder: StudyFolder) -> list[Line]:
    """The lines of the table, in the plan's order.

    Each has `study`, a value for each axis, `run`, `pretraining`, `status` (done, failed or
    missing), `error`, the aggregates of the test by name, `steps`, `pretraining_steps`, and the
    columns of `TIMES`.
    """
    summaries = {identity: folder.summary(identity) for identity in plan.runs}
    failures = folder.failures()
    return [
        {
            "study": row.study,
            **{axis: row.axes.get(axis, "") for axis in plan.axes},
            **_of_run(plan, row.run, summaries, failures),
        }
        for row in plan.rows
    ]


def _of_run(
    plan: Plan,
    identity: str,
    summaries: Mapping[str, Mapping[str, Any] | None],
    failures: Mapping[str, Failure],
) -> Line:
    run, summary = plan.runs[identity], summaries[identity]
    before = summaries.get(run.needs) or {}
    failure = failures.get(identity)
    earlier = failures.get(run.needs)
    line: Line = {"run": identity, "pretraining": run.needs, "status": DONE, "error": ""}
    if summary is None:
        line["status"] = MISSING
        if earlier is not None and earlier.final and summaries.get(run.needs) is None:
            line |= {"status": FAILED, "error": f"its pre-training failed: {earlier.error}"}
        elif failure is not None:
            status = FAILED if failure.final else MISSING
            line |= {"status": status, "error": failure.error}
    return {
        **line,
        **(summary or {}).get("test", {}),
        "steps": (summary or {}).get("steps"),
        "pretraining_steps": before.get("steps"),
        "seconds": (summary or {}).get("wall_seconds"),
        "pretraining_seconds": before.get("wall_seconds"),
        "attempts": failure.attempts if failure else 0,
    }


def columns(table: Sequence[Line]) -> list[str]:
    """The columns of a table: who, what came out, the further aggregates by name, times."""
    names = dict.fromkeys(name for line in table for name in line)
    aggregates = [name for name in names if "/" in name or name in ("images", "detection_rate")]
    first = [name for name in FIRST if name in names]
    rest = sorted(set(aggregates) - set(first))
    others = [name for name in names if name not in {*aggregates, *first, *TIMES}]
    return [*others, *first, *rest, *(name for name in TIMES if name in names)]


def write_rows(plan: Plan, folder: StudyFolder) -> list[Line]:
    """Write `rows.csv`; gives its lines.

    Raises:
        RunError: The place is not writable, or the disk is full.
    """
    table = lines(plan, folder)
    write_text(folder.rows, as_csv(columns(table), table))
    return table


def as_csv(names: Sequence[str], table: Sequence[Mapping[str, Any]]) -> str:
    """A table as CSV with a header; what is not there or None is left empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()
