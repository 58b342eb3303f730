"""`ssl-registry plugins show`: all that is known of a plugin."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from ssl_registry.cli.plugins_list import as_table, timing_table, timing_words
from ssl_registry.cli.text import align, verbatim
from ssl_registry.discovery import PluginRecord
from ssl_registry.registry import plugins_called
from ssl_registry.spec import API_VERSION, FILE_KINDS, Component


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins show simclr
                   ssl-registry plugins show some-package --timing
                   ssl-registry plugins show ssl-registry:simclr --json
        """
    )
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
@click.option("--timing", is_flag=True, help="Measure its import in a fresh interpreter.")
def show(name: str, as_json: bool, timing: bool) -> None:
    """Show all that is known of a plugin, and where each of its components comes from.

    NAME is a plugin, or a distribution with all its plugins.
    """
    found = plugins_called(name)
    tables = [_described(record, timing) for record in found]
    if as_json:
        import json

        click.echo(json.dumps(tables, indent=2))
        return
    texts = [_text(record, table) for record, table in zip(found, tables, strict=True)]
    click.echo("\n\n".join(texts))


def _described(record: PluginRecord, timing: bool) -> dict[str, Any]:
    """All facts of a plugin as a table of JSON values."""
    table = as_table(record)
    table |= {
        "asks_for": _asks_for(record),
        "hooks": _hooks(record),
        "components": [_component(item) for item in record.components],
    }
    if timing:
        from ssl_registry.plugin_timing import import_time

        time = import_time(record)
        table["import"] = timing_table(time)
        table["import_words"] = "; ".join(timing_words(time)).strip()
    return table


def _asks_for(record: PluginRecord) -> dict[str, str]:
    """What its distribution asks for, with the installed version or whether that will do."""
    from importlib.metadata import PackageNotFoundError, distribution

    from ssl_registry.requirements import OWN_NAME, needs_of

    if record.distribution == OWN_NAME:
        return {}  # what the library itself needs is told by `ssl-registry doctor`
    try:
        needs = needs_of(distribution(record.distribution))
    except (PackageNotFoundError, ValueError):
        return {}
    return {need.text: need.told for need in needs}


def _hooks(record: PluginRecord) -> list[str]:
    if record.manager is None:
        return []
    names = [
        caller.name
        for plugin in record.manager.get_plugins()
        for caller in record.manager.get_hookcallers(plugin) or ()
    ]
    return sorted(names)


def _component(item: Component) -> dict[str, str]:
    return {
        "kind": item.kind,
        "name": item.name,
        "summary": item.summary,
        "factory": item.factory,
        "config": item.config,
        "file": _file(item),
    }


def _file(item: Component) -> str:
    """The file that a component comes from; empty if it is not there."""
    module, _, rest = item.factory.partition(":")
    if item.kind in FILE_KINDS:
        from importlib.resources import files

        try:
            place = files(module).joinpath(rest)
        except ImportError:
            return ""
        return str(place) if place.is_file() else ""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return ""
    return (found.origin if found else None) or ""


def _text(record: PluginRecord, table: dict[str, Any]) -> str:
    asked = (f"{text} ({there})" for text, there in table["asks_for"].items())
    rows = [
        ("status", record.status + (f": {record.reason}" if record.reason else "")),
        ("what to do", record.advice),
        ("distribution", f"{record.distribution} {record.version}"),
        ("asks for", ", ".join(asked)),
        ("module", record.module),
        ("file", record.file or "not there"),
        ("API", _api(record)),
        ("hooks", ", ".join(table["hooks"])),
        ("import", table.get("import_words", "")),
    ]
    text = f"plugin {record.name}\n" + align([row for row in rows if row[1]], indent="  ")
    if not record.components:
        return text
    head = ("KIND", "NAME", "TARGET", "FILE")
    parts = [
        (part["kind"], part["name"], part["factory"], part["file"] or "not there")
        for part in table["components"]
    ]
    return text + "\n\n" + align([head, *parts])


def _api(record: PluginRecord) -> str:
    if record.api is None:
        return "" if record.status == "disabled" else f"none stated; this one has {API_VERSION}"
    return f"{record.api}; this ssl-registry has {API_VERSION}"
