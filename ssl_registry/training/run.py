"""A run as a whole: its record, its folder, its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ssl_registry.config.run import RunConfig
from ssl_registry.data.expected import unexpected_counts
from ssl_registry.data.load import LoadedData
from ssl_registry.data.split_file import write_split
from ssl_registry.errors import UserError
from ssl_registry.provenance import (
    components_used,
    environment,
    presets_used,
    resolved,
    run_id,
)
from ssl_registry.training.device import Execution
from ssl_registry.training.probing import probe_facts
from ssl_registry.training.run_folder import RUNS, RunFolder, check_possible

if TYPE_CHECKING:
    import pandas as pd

    from ssl_registry.report.gallery import GalleryItem

Kind = Literal["pretrain", "finetune"]


@dataclass(frozen=True)
class Run:
    """A run that has claimed its folder.

    Attributes:
        kind: What it does.
        folder: Where.
        record: Id, resolved config, components, data and environment, as in `config.json`.
    """

    kind: Kind
    folder: RunFolder
    record: dict[str, Any]

    def warnings(self, summary: Mapping[str, Any]) -> list[str]:
        """What a reader of the report should know about the data and the training."""
        unreadable = [
            f"{data['name']}: left out, unreadable: {reason}"
            for data in self.record["data"]
            for reason in data["unreadable"]
        ]
        expected = self.record["config"].get("expected_images", {})
        counts = unexpected_counts(expected, self.record["data"])
        return [*summary.get("warnings", ()), *counts, *unreadable]

    def write_report(
        self,
        summary: Mapping[str, Any],
        metrics: pd.DataFrame | None = None,
        aggregates: Mapping[str, float] | None = None,
        gallery: Sequence[GalleryItem] = (),
    ) -> Path:
        """Write `report.html`; gives its path."""
        from ssl_registry.report.run_report import RunReport, write_run_report

        names = "-".join(c["name"] for c in self.record["components"])
        report = RunReport(
            title=f"{self.kind}: {names}",
            kind=self.kind,
            config=self.record["config"],
            # Runs of earlier versions have no presets in their record.
            provenance=[*self.record["components"], *self.record.get("presets", ())],
            environment=self.record["environment"],
            log=self.folder.read_log(),
            summary=_readable(summary),
            metrics=metrics,
            aggregates=aggregates or {},
            gallery=gallery,
            warnings=self.warnings(summary),
        )
        path = self.folder.path / "report.html"
        write_run_report(path, report)
        return path


def check_place(out: Path | None) -> None:
    """Make sure, before data are cached, that the run's folder can be used; makes nothing.

    Raises:
        RunError: It cannot be made or written to, or holds something else than a run.
    """
    if out is None:
        check_possible(RUNS)
    else:
        RunFolder(out).check_usable()


def start_run(
    kind: Kind,
    config: RunConfig,
    data: Sequence[LoadedData],
    execution: Execution,
    out: Path | None,
    *,
    resume: bool,
    weights: str = "",
) -> Run:
    """Describe the run and claim its folder: `out`, or `runs/<kind>-<id>`.

    The split of the dataset is written as `split.csv`, those of several as `split-0.csv` and so
    on. What follows belongs into the block of `with holding(run)`.

    Args:
        kind: What the run does.
        config: Its resolved config.
        data: Its datasets; their fingerprints and splits are part of its id.
        execution: Device, precision and threads.
        out: The folder to use.
        resume: Whether a folder of this very run may be gone on with.
        weights: Digest of the weights it starts from.

    Raises:
        RunError: The folder is taken or not writable.
    """
    described = [member.describe() for member in data]
    facts = {
        str(number): f"{item['fingerprint']} {item['split']}"
        for number, item in enumerate(described)
    }
    components = components_used(config)
    identity = run_id(config, components, {**facts, "weights": weights})
    record = {
        "id": identity,
        "kind": kind,
        "config": resolved(config),
        "components": components,
        "presets": presets_used(config),
        "data": described,
        "gray": all(member.cache.images.shape[1] == 1 for member in data),
        "initial_weights": weights,
        "environment": environment(str(execution.device), execution.precision, execution.threads),
    }
    folder = RunFolder(out if out is not None else RUNS / f"{kind}-{identity}")
    folder.claim(record, resume=resume)
    if not folder.finished:
        _write_splits(folder.path, data)
    return Run(kind, folder, record)


@contextmanager
def holding(run: Run) -> Iterator[None]:
    """Keep other processes out of the run's folder until the block ends.

    A mistake of the user's that shows before anything was logged or saved gives a folder back
    that this call has newly claimed, so that it can be used once the mistake is mended.
    """
    try:
        yield
    except UserError:
        run.folder.give_back()
        raise
    finally:
        run.folder.release()


def _write_splits(folder: Path, data: Sequence[LoadedData]) -> None:
    for number, member in enumerate(data):
        path = folder / ("split.csv" if len(data) == 1 else f"split-{number}.csv")
        if not path.exists():
            write_split(path, member.parts)


def _readable(summary: Mapping[str, Any]) -> dict[str, object]:
    """The facts that head a report, in words and units."""
    facts: dict[str, object] = {
        "steps": summary["steps"],
        "epochs": round(summary["epochs"], 1),
        "training images": summary.get("images", summary.get("labelled_images")),
        "training time": f"{summary['training_seconds']:.0f} s",
        "peak memory": f"{summary['peak_memory_bytes'] / 2**30:.2f} GiB",
        "steps left out (loss not finite)": summary["skipped_steps"],
    }
    best = summary.get("best_validation", {})
    if best.get("best_score") is not None:
        facts["best validation Dice"] = f"{best['best_score']:.3f} (epoch {best['best_epoch']})"
    if summary.get("no_validation_loss"):
        facts["validation loss"] = f"none: {summary['no_validation_loss']}"
    for title, probe in summary.get("probes", {}).items():
        facts |= {f"probe {title}, {name}": text for name, text in probe_facts(probe).items()}
    return facts
