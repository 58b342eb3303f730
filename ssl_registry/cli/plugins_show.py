"""`ssl-registry plugins show`: all that is known of one plugin."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Show one plugin."""
