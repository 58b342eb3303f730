"""`ssl-registry components`: what the plugins offer, and how each is configured."""

from __future__ import annotations

import click

from ssl_registry import registry
from ssl_registry.cli.groups import DefaultGroup
from ssl_registry.cli.text import align, verbatim
from ssl_registry.registry import Found
from ssl_registry.spec import FILE_KINDS, KINDS


@click.group(
    cls=DefaultGroup,
    default="list",
    epilog=verbatim(
        """
        Examples:  ssl-registry components
                   ssl-registry components backbone
                   ssl-registry components show method simclr
        """
    ),
)
def components() -> None:
    """Methods, backbones, decoders, datasets and other parts."""


@components.command(
    "list",
    epilog=verbatim(
        f"""
        Kinds:     {", ".join(KINDS)}
        Examples:  ssl-registry components
                   ssl-registry components dataset --json
        """
    ),
)
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
def list_components(kind: str | None, as_json: bool) -> None:
    """List the components of working plugins, all or those of one KIND."""
    found = registry.components(kind)
    if as_json:
        import json

        click.echo(json.dumps([_as_json(item) for item in found], indent=2))
    elif found:
        rows = [(f.component.kind, f.component.name, f.plugin.provider) for f in found]
        summaries = [f.component.summary for f in found]
        head = ("KIND", "NAME", "PROVIDER", "SUMMARY")
        click.echo(align([head, *((*r, s) for r, s in zip(rows, summaries, strict=True))]))
    else:
        click.echo(f"no plugin offers a {kind or 'component'}")


@components.command(
    "show",
    epilog=verbatim(
        """
        Examples:  ssl-registry components show method simclr
                   ssl-registry components show dataset busi
                   ssl-registry components show preset simclr-paper
                   ssl-registry components show experiment quickstart
        """
    ),
)
@click.argument("kind", metavar="KIND")
@click.argument("name")
def show_component(kind: str, name: str) -> None:
    """Show one component: who provides it and the settings it takes.

    For a preset, an experiment, a study or published figures, show the file. A NAME offered by
    several plugins is written PROVIDER/NAME.
    """
    found = registry.find(kind, name)
    plugin, details = found.plugin, _details(kind, name)
    rows = [
        ("provider", f"{plugin.provider} {plugin.version}"),
        ("summary", found.component.summary or "-"),
        ("factory", found.component.factory),
    ]
    if found.component.config:
        rows.append(("config", found.component.config))
    click.echo(f"{kind} {found.component.name}")
    click.echo(align(rows, indent="  "))
    click.echo()
    click.echo(details)


def _details(kind: str, name: str) -> str:
    if kind in FILE_KINDS:
        return registry.resource(kind, name).rstrip()
    from ssl_registry.cli.settings import settings

    head = ("SETTING", "TYPE", "DEFAULT", "DESCRIPTION")
    return align([head, *settings(registry.config_model(kind, name))])


def _as_json(found: Found) -> dict[str, str]:
    return {**found.provenance(), "summary": found.component.summary}
