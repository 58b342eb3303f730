"""The report of one run: what ran, how it went, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from ssl_registry.evaluation.policies import explain
from ssl_registry.report.curves import Row, curve, curves_svg, scalars, x_axis
from ssl_registry.report.gallery import GalleryItem
from ssl_registry.report.page import as_json, write_page
from ssl_registry.report.panels import gallery_rows, legend

if TYPE_CHECKING:
    import pandas as pd

_LISTED: Final = 8
"""Images in each list of best and worst."""

_SIZES: Final = "batch_size"
_PROBE: Final = "probe/"
_ENDINGS: Final = {
    "low": "95 % interval, low",
    "high": "95 % interval, high",
    "random": "random weights",
}
"""What the scalars of a probe beside its score are, by the end of their names."""


@dataclass(frozen=True)
class RunReport:
    """What the report of a run is made of.

    Attributes:
        title: Heading of the page.
        kind: What the run did.
        config: The resolved config.
        provenance: Of each component: kind, name, plugin, distribution, version.
        environment: Versions of libraries, device, precision, threads.
        log: The rows of `log.jsonl`: epoch, step, loss, and any other numbers by name; those
            with `loss` or `dice` in their name are drawn together, and those of a probe.
        summary: Facts of the run as a whole, such as steps and wall time.
        metrics: The per-image table, if the run was evaluated.
        aggregates: Its aggregates by name.
        gallery: Images with their predictions.
        warnings: What the reader must know before trusting the numbers.
    """

    title: str
    kind: Literal["pretrain", "finetune"]
    config: Mapping[str, Any]
    provenance: Sequence[Mapping[str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Sequence[Row] = ()
    summary: Mapping[str, object] = field(default_factory=dict)
    metrics: pd.DataFrame | None = None
    aggregates: Mapping[str, float | None] = field(default_factory=dict)
    gallery: Sequence[GalleryItem] = ()
    warnings: Sequence[str] = ()


def write_run_report(path: Path, report: RunReport) -> None:
    """Write the report as one HTML file, whole or not at all.

    Raises:
        RunError: The place is not writable.
    """
    curves, further = log_pictures(report.log)
    write_page(
        path,
        "run.html",
        report=report,
        kind={"pretrain": "Pre-training", "finetune": "Fine-tuning"}[report.kind],
        curves=curves,
        further_curves=further,
        gallery=gallery_rows(report.gallery),
        legend=legend(report.gallery),
        aggregates=aggregate_rows(report.aggregates),
        lists=_image_lists(report.metrics),
        config=as_json(report.config),
    )


def log_pictures(log: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """Pictures of a log by title: loss, Dice and probes, and everything else it records."""
    axis = x_axis(log)
    probed = [name for name in scalars(log) if name.startswith(_PROBE)]
    names = [name for name in scalars(log) if name not in probed and not name.endswith(_SIZES)]
    losses = [name for name in names if "loss" in name]
    dices = [name for name in names if "dice" in name and name not in losses]
    first = {
        title: curves_svg([curve(log, n, color=i) for i, n in enumerate(group)], axis, label)
        for title, label, group in (
            ("Loss", "loss", losses),
            ("Dice on the validation images", "Dice", dices),
        )
        if group
    }
    for title, group in _probe_groups(probed).items():
        curves = [curve(log, name, label, i) for i, (name, label) in enumerate(group)]
        first[title] = curves_svg(curves, axis, title.rpartition(": ")[2])
    rest = [name for name in names if name not in (*losses, *dices)]
    return first, {name: curves_svg([curve(log, name)], axis, name) for name in rest}


def _probe_groups(names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """By title, the scalars of each score of a probe with their labels."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        ending = next((end for end in _ENDINGS if name.endswith(f"/{end}")), "")
        score = name.removeprefix(_PROBE).removesuffix(f"/{ending}")
        probe, _, what = score.partition("/")
        label = _ENDINGS.get(ending, what)
        groups.setdefault(f"Probe {probe}: {what}", []).append((name, label))
    return groups


@dataclass(frozen=True)
class AggregateRow:
    """One aggregate: its name, its policy in words, its values at training and native size."""

    name: str
    policy: str
    training: float | None
    native: float | None


def aggregate_rows(aggregates: Mapping[str, float | None]) -> list[AggregateRow]:
    """Aggregates in their order, both sizes side by side."""
    names = dict.fromkeys(name.removeprefix("native/") for name in aggregates)
    return [
        AggregateRow(name, explain(name), aggregates.get(name), aggregates.get(f"native/{name}"))
        for name in names
    ]


def _image_lists(metrics: pd.DataFrame | None) -> dict[str, list[dict[str, Any]]]:
    """Worst and best lesions and the largest false alarms, at training size, by title."""
    if metrics is None:
        return {}
    rows = metrics[metrics["size"] == "training"]
    lesions = rows[~rows["empty_truth"]].sort_values(["dice", "id"])
    alarms = rows[rows["empty_truth"] & ~rows["empty_prediction"]].sort_values(
        ["fp", "id"], ascending=[False, True]
    )
    lists = {
        "Worst lesions": lesions.head(_LISTED),
        "Best lesions": lesions.iloc[::-1].head(_LISTED),
        "Largest false alarms on images without a lesion": alarms.head(_LISTED),
    }
    return {
        title: [{str(k): v for k, v in row.items()} for row in of_list.to_dict("records")]
        for title, of_list in lists.items()
        if len(of_list)
    }
