"""What the runs of a study say of themselves: warnings, times, versions, data, errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssl_registry.config.study import NONE
from ssl_registry.files import read_json
from ssl_registry.study.cells import SEEDS
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.panels import column_title
from ssl_registry.study.plan import Plan, PlannedRun
from ssl_registry.study.rows import DONE, Line
from ssl_registry.training.run import Run
from ssl_registry.training.run_folder import RunFolder


@dataclass(frozen=True)
class Record:
    """A finished run: its plan, its summary, and what its `config.json` says.

    Attributes:
        run: As planned.
        summary: Its summary.
        config: Id, components, data and environment; empty where the run wrote none.
        warnings: What it warned of.
    """

    run: PlannedRun
    summary: Mapping[str, Any]
    config: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Unfinished:
    """Lines of a table without a result, which differ by seed alone.

    Attributes:
        title: What they are.
        seeds: Their seeds, in words.
        status: `failed` or `missing`.
        error: Why they failed, or what the last attempt ended with.
        attempts: How often they were tried, at most.
    """

    title: str
    seeds: str
    status: str
    error: str
    attempts: int


def records(plan: Plan, folder: StudyFolder) -> list[Record]:
    """The records of all finished runs, in the plan's order."""
    found = []
    for run in plan.runs.values():
        summary = folder.summary(run.id)
        if summary is None:
            continue
        path = folder.run(run.id)
        file = path / "config.json"
        config = read_json(file) if file.is_file() else {}
        warnings: Sequence[str] = summary.get("warnings", ())
        if config:
            warnings = Run(run.kind, RunFolder(path), config).warnings(summary)
        found.append(Record(run, summary, config, tuple(warnings)))
    return found


def warnings_of(found: Sequence[Record]) -> dict[str, list[str]]:
    """What runs warned of, each text once, with the titles of the runs.

    And what no run can know: that a pre-training was done again between the fine-tunings from it.
    """
    titles: dict[str, list[str]] = {}
    starts: dict[str, dict[str, list[str]]] = {}
    for record in found:
        for text in record.warnings:
            titles.setdefault(text, []).append(record.run.title)
        start = record.config.get("initial_weights", "")
        if record.run.needs and start:
            starts.setdefault(record.run.needs, {}).setdefault(start, []).append(record.run.title)
    for by_weights in starts.values():
        for number, runs in enumerate(by_weights.values(), 1):
            if len(by_weights) > 1:
                text = f"the pre-training was done again: weights {number} of {len(by_weights)}"
                titles.setdefault(text, []).extend(runs)
    return titles


def unfinished(axes: Sequence[str], table: Sequence[Line]) -> list[Unfinished]:
    """The lines without a result, those of the same cell, status and error together."""
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in table:
        if line["status"] != DONE:
            key = (_title(axes, line), line["status"], line["error"])
            groups.setdefault(key, []).append(line)
    return [
        Unfinished(
            title=title,
            seeds=_seeds(axes, lines),
            status=status,
            error=error,
            attempts=max(line["attempts"] for line in lines),
        )
        for (title, status, error), lines in sorted(groups.items(), key=lambda one: one[0][1])
    ]


def _title(axes: Sequence[str], line: Line) -> str:
    words = []
    for axis in axes:
        if axis not in SEEDS and line[axis] not in ("", NONE):
            named = {"fraction": column_title, "image_size": "{} px".format}.get(axis, str)
            words.append(named(line[axis]))
    return ", ".join((line["study"], *words))


def _seeds(axes: Sequence[str], lines: Sequence[Line]) -> str:
    names = [axis for axis in SEEDS if axis in axes]
    seeds = [tuple(str(line[axis]) for axis in names if line[axis] != NONE) for line in lines]
    return ", ".join("/".join(seed) for seed in seeds)


def environments(found: Sequence[Record]) -> dict[str, str]:
    """Versions and devices by name; several values with the number of runs that had each."""
    return _counted(record.config.get("environment", {}) for record in found)


def components(found: Sequence[Record]) -> list[Mapping[str, str]]:
    """Each component that any run used, once."""
    parts = [
        part
        for record in found
        for part in (*record.config.get("components", ()), *record.config.get("presets", ()))
    ]
    return list({tuple(sorted(part.items())): part for part in parts}.values())


def datasets(found: Sequence[Record]) -> list[dict[str, Any]]:
    """Each dataset with its split and fingerprint, and how many runs of each kind used it."""
    seen: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in found:
        for data in record.config.get("data", ()):
            key = (data["name"], data["fingerprint"], data["split"])
            entry = seen.setdefault(key, {**data, "pretrain": 0, "finetune": 0})
            entry[record.run.kind] += 1
    return list(seen.values())


def wall_times(found: Sequence[Record]) -> dict[str, float]:
    """Seconds that all runs of a kind took, one after the other."""
    names = {"pretrain": "pre-trainings", "finetune": "fine-tunings"}
    return {
        name: sum(
            record.summary.get("wall_seconds", 0.0) for record in found if record.run.kind == kind
        )
        for kind, name in names.items()
    }


def _counted(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    counts: dict[str, dict[str, int]] = {}
    for table in tables:
        for name, value in table.items():
            of_name = counts.setdefault(name, {})
            of_name[value] = of_name.get(value, 0) + 1
    return {
        name: next(iter(values))
        if len(values) == 1
        else "; ".join(f"{value} ({count} runs)" for value, count in values.items())
        for name, values in counts.items()
    }
