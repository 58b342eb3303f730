"""`ssl-registry study`: many runs from one file, and their table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.options import interruptible, out_option, overrides_option
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.study.estimate import Estimate
    from ssl_registry.study.folder import StudyFolder
    from ssl_registry.study.plan import Plan
    from ssl_registry.study.rows import Line

SOME_FAILED = 3
"""Exit status of a study that is through but for runs that failed."""

_OUT = "Folder of the study; default: studies/NAME."
_STUDY = click.argument("study", metavar="FILE")


@click.group(
    invoke_without_command=True,
    epilog=verbatim(
        """
        Examples:  ssl-registry components study               (those that are shipped)
                   ssl-registry study run paper-table-1 --dry-run
                   ssl-registry study run my-study.toml --workers 2
                   ssl-registry study status my-study.toml
        """
    ),
)
@click.pass_context
def study(ctx: click.Context) -> None:
    """Many runs from one file: pre-trainings, fine-tunings, one table."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@study.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry study run paper-table-4 --dry-run
                   ssl-registry study run paper-table-4 --workers-per-gpu 4
                   ssl-registry study run paper-all --set without.image_size=[50,64]
                   ssl-registry study run my-study.toml --set axes.seed=[0,1] --out runs/short
        """
    )
)
@_STUDY
@overrides_option
@out_option(_OUT)
@click.option("--workers", type=click.IntRange(1), help="Runs at the same time.")
@click.option("--workers-per-gpu", type=click.IntRange(1), help="Workers that share a GPU.")
@click.option("--dry-run", is_flag=True, help="Only count the runs and estimate time and disk.")
@click.option("--retry-failed", is_flag=True, help="Try runs again that failed for good.")
def run(
    study: str,
    overrides: tuple[str, ...],
    out: Path | None,
    workers: int | None,
    workers_per_gpu: int | None,
    dry_run: bool,
    retry_failed: bool,
) -> None:
    """Do what is missing of a study: FILE, or the name of a shipped one.

    Each run has its folder; one that is done is not done again, and one that was cut off goes on
    from its checkpoint. A run that fails is a line of the table with its error, and the exit status
    is then 3. Writes rows.csv and the report.
    """
    with interruptible():
        from ssl_registry.study.report import write_report
        from ssl_registry.study.run import counts, estimate_study, folder_of, run_study
        from ssl_registry.study.source import read_study

        given = {"workers": workers, "workers_per_gpu": workers_per_gpu}
        of_executor = [f"executor.{key}={n}" for key, n in given.items() if n is not None]
        source = read_study(study, [*overrides, *of_executor])
        folder = folder_of(source.name, out)
        if dry_run:
            click.echo(_estimated(*estimate_study(source, folder)))
            return
        table = run_study(source, folder, retry_failed=retry_failed)
        files = write_report(folder)
    found = counts(table)
    click.echo(f"table:  {folder.rows} ({', '.join(f'{n} {word}' for word, n in found.items())})")
    for file in files:
        click.echo(f"report: {file}")
    if found["failed"]:
        click.get_current_context().exit(SOME_FAILED)


@study.command(
    epilog=verbatim(
        """
        Example:   ssl-registry study status paper-table-1
        """
    )
)
@_STUDY
@out_option(_OUT)
def status(study: str, out: Path | None) -> None:
    """Say how far a study is, and what failed. FILE is as for `run`."""
    from ssl_registry.study.rows import lines
    from ssl_registry.study.run import folder_of
    from ssl_registry.study.source import name_of

    folder = folder_of(name_of(study), out)
    plan = folder.plan()
    click.echo(_state(plan, folder, lines(plan, folder)))


@study.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry study report paper-table-1
                   ssl-registry study report my-study.toml --no-images
        """
    )
)
@_STUDY
@out_option(_OUT)
@click.option(
    "--images/--no-images",
    default=True,
    help="Show test images with the masks of all arms; leave them out of a report that is given "
    "to people who may not have the data.",
)
def report(study: str, out: Path | None, images: bool) -> None:
    """Write the report of a study as far as it is done. FILE is as for `run`.

    A page without any other file (report.html), the same in Markdown, its tables as CSV, and its
    pictures as PNG.
    """
    from ssl_registry.study.report import write_report
    from ssl_registry.study.run import folder_of
    from ssl_registry.study.source import name_of

    for file in write_report(folder_of(name_of(study), out), images=images):
        click.echo(f"report: {file}")


def _estimated(plan: Plan, found: Estimate) -> str:
    from ssl_registry.report.numbers import duration

    names = {"pretrain": "pre-trainings", "finetune": "fine-tunings"}
    head = ("", "RUNS", "TO DO", "TIME, ONE AFTER THE OTHER")
    rows = [
        (name, str(plan.count(kind)), str(found.missing[kind]), duration(found.seconds[kind]))
        for kind, name in names.items()
    ]
    facts = [
        *plan.left_out,
        f"lines of the table: {len(plan.rows)}",
        f"time with {found.workers} workers: about {duration(found.elapsed)}",
        f"disk: about {found.bytes / 2**30:.2f} GiB, {found.free / 2**30:.1f} GiB are free",
    ]
    return "\n".join([plan.title, align([head, *rows]), *facts])


def _state(plan: Plan, folder: StudyFolder, table: list[Line]) -> str:
    from ssl_registry.study.progress import clock_text
    from ssl_registry.study.run import learned

    failures, missing = folder.failures(), []
    rows = [("", "RUNS", "DONE", "FAILED", "TO DO")]
    for kind, name in (("pretrain", "pre-trainings"), ("finetune", "fine-tunings")):
        runs = [run for run in plan.runs.values() if run.kind == kind]
        done = {run.id for run in runs if folder.done(run.id)}
        failed = {line["run"] for line in table if line["status"] == "failed"}
        failed |= {identity for identity, failure in failures.items() if failure.final}
        lost = [run for run in runs if run.id in failed and run.id not in done]
        left = [run for run in runs if run.id not in done and run.id not in failed]
        missing += left
        rows.append((name, str(len(runs)), str(len(done)), str(len(lost)), str(len(left))))
    time = clock_text(learned(plan, folder).left(missing, workers=1))
    told = [
        f"failed after {failure.attempts}: {plan.runs[identity].title}: {failure.error}"
        for identity, failure in failures.items()
        if identity in plan.runs
    ]
    foreign = len([p for p in folder.runs.glob("*") if p.name not in plan.runs])
    other = [f"{foreign} run folders are not of this study"] if foreign else []
    left_text = [f"time left for one worker: about {time}"] if missing else []
    return "\n".join([plan.title, align(rows), *left_text, *told, *other])
