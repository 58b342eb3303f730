"""`ssl-registry data`: the image sets, how they are fetched, checked, looked at and divided."""

from __future__ import annotations

import click

from ssl_registry.cli.groups import LazyGroup
from ssl_registry.cli.text import verbatim

COMMANDS: dict[str, str] = {
    "stats": "ssl_registry.cli.data_pictures:stats",
    "gallery": "ssl_registry.cli.data_pictures:gallery",
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    epilog=verbatim(
        """
        Examples:  ssl-registry data list
                   ssl-registry data info busi
                   ssl-registry data download busi --to data/busi
                   ssl-registry data verify busi=data/busi
        """
    ),
)
def data() -> None:
    """Image sets: fetch, check, look at and divide them."""
