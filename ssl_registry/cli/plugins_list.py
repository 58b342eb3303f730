"""`ssl-registry plugins list`: what is installed and whether it works."""

from __future__ import annotations

import click

from ssl_registry.cli.text import align, verbatim
from ssl_registry.discovery import PluginRecord
from ssl_registry.discovery import plugins as installed


@click.command(
    "list",
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins list
                   ssl-registry plugins list --json
                   SSL_REGISTRY_DISABLE=simclr,some-package ssl-registry plugins list
        """
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
def list_plugins(as_json: bool) -> None:
    """List all installed plugins with their state and what they offer.

    A plugin that cannot be used is listed as broken, with the reason; it hurts no other. Leave
    plugins out by naming them, or their distributions, in SSL_REGISTRY_DISABLE.
    """
    records = installed()
    if as_json:
        import json

        click.echo(json.dumps([_as_json(record) for record in records], indent=2))
    elif records:
        head = ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "COMPONENTS OR REASON")
        click.echo(align([head, *(_row(record) for record in records)]))
    else:
        click.echo("no plugins are installed")


def _row(record: PluginRecord) -> tuple[str, ...]:
    by_kind: dict[str, list[str]] = {}
    for component in record.components:
        by_kind.setdefault(component.kind, []).append(component.name)
    offered = "; ".join(f"{kind} {', '.join(names)}" for kind, names in by_kind.items())
    last = record.reason or offered or "-"
    return record.name, record.distribution, record.version, record.status, last


def _as_json(record: PluginRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "module": record.module,
        "distribution": record.distribution,
        "version": record.version,
        "status": record.status,
        "reason": record.reason,
        "components": [
            {"kind": item.kind, "name": item.name, "summary": item.summary}
            for item in record.components
        ],
    }
