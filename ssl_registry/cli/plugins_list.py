"""`ssl-registry plugins list`: what is installed and whether it works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.text import align, verbatim
from ssl_registry.discovery import PluginRecord
from ssl_registry.discovery import plugins as installed

if TYPE_CHECKING:
    from ssl_registry.plugin_timing import ImportTime

HEAD = ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS")


@click.command(
    "list",
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins list
                   ssl-registry plugins list --json
                   ssl-registry plugins list --timing
                   SSL_REGISTRY_DISABLE=simclr,some-package ssl-registry plugins list
        """
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
@click.option(
    "--timing",
    is_flag=True,
    help="Measure how long each takes to import, each in a fresh interpreter; slowest first.",
)
def list_plugins(as_json: bool, timing: bool) -> None:
    """List all installed plugins with their state and what they offer.

    A plugin that cannot be used is listed as broken, with the reason and what to do; it hurts no
    other. Leave plugins out by naming them, or their distributions, in SSL_REGISTRY_DISABLE.
    """
    records = installed()
    times = _measured(records) if timing else []
    if times:
        records = tuple(time.plugin for time in times)
    if as_json:
        import json

        facts = [as_table(record) for record in records]
        for table, time in zip(facts, times, strict=False):
            table["import"] = timing_table(time)
        click.echo(json.dumps(facts, indent=2))
    elif not records:
        click.echo("no plugins are installed")
    elif times:
        click.echo(_timing_text(times))
    else:
        last = "COMPONENTS OR REASON"
        click.echo(align([(*HEAD, last), *((*_start(r), _end(r)) for r in records)]))
        _say_what_to_do(records)


def _measured(records: Sequence[PluginRecord]) -> list[ImportTime]:
    """Import times, slowest first; those that could not be measured come last."""
    from ssl_registry.plugin_timing import import_time

    return sorted(map(import_time, records), key=lambda time: -(time.seconds or 0.0))


def _timing_text(times: Sequence[ImportTime]) -> str:
    rows = [(*_start(time.plugin), *timing_words(time)) for time in times]
    text = align([(*HEAD, "IMPORT", "HEAVY IMPORTS"), *rows])
    if any(time.heavy for time in times):
        text += (
            "\n\nEach import is counted with all that it imports itself. A plugin should take a "
            "few milliseconds:\nimport heavy packages in the modules that its components name, "
            "not at its top."
        )
    return text


def timing_words(time: ImportTime) -> tuple[str, str]:
    """The import time and the heavy modules, for a reader."""
    taken = time.problem or "not measured"
    if time.seconds is not None:
        taken = f"{time.seconds * 1e3:6.1f} ms"
    heavy = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in time.heavy)
    return taken, heavy or "-"


def timing_table(time: ImportTime) -> dict[str, object]:
    """The import time and the heavy modules, for a machine."""
    return {
        "ms": None if time.seconds is None else round(time.seconds * 1e3, 3),
        "heavy": {name: round(seconds * 1e3, 3) for name, seconds in time.heavy},
        "problem": time.problem,
    }


def _say_what_to_do(records: Sequence[PluginRecord]) -> None:
    advice = [(f"{record.name}:", record.advice) for record in records if record.advice]
    if advice:
        click.echo("\nwhat to do about those that are broken\n" + align(advice, indent="  "))


def _start(record: PluginRecord) -> tuple[str, str, str, str]:
    return record.name, record.distribution, record.version, record.status


def _end(record: PluginRecord) -> str:
    by_kind: dict[str, list[str]] = {}
    for component in record.components:
        by_kind.setdefault(component.kind, []).append(component.name)
    offered = "; ".join(f"{kind} {', '.join(names)}" for kind, names in by_kind.items())
    return record.reason or offered or "-"


def as_table(record: PluginRecord) -> dict[str, object]:
    """What is known of a plugin without asking for more, for a machine."""
    return {
        "name": record.name,
        "module": record.module,
        "file": record.file,
        "distribution": record.distribution,
        "version": record.version,
        "api": record.api,
        "status": record.status,
        "reason": record.reason,
        "advice": record.advice,
        "components": [
            {"kind": item.kind, "name": item.name, "summary": item.summary}
            for item in record.components
        ],
    }
