"""`ssl-registry plugins`: what is installed, whether it works, and how to write one."""

from __future__ import annotations

import click

from ssl_registry.cli.groups import LazyDefaultGroup
from ssl_registry.cli.text import verbatim

COMMANDS: dict[str, str] = {
    "list": "ssl_registry.cli.plugins_list:list_plugins",
    "show": "ssl_registry.cli.plugins_show:show",
    "check": "ssl_registry.cli.plugins_check:check",
    "new": "ssl_registry.cli.plugins_new:new",
}


@click.group(
    cls=LazyDefaultGroup,
    targets=COMMANDS,
    default="list",
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins list
                   ssl-registry plugins show simclr
        """
    ),
)
def plugins() -> None:
    """What is installed, and whether it works."""
