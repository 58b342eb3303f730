"""`ssl-registry data`: the image sets, how they are fetched, checked, looked at and divided."""

from __future__ import annotations

import click

from ssl_registry.cli.groups import LazyGroup
from ssl_registry.cli.text import verbatim

COMMANDS: dict[str, str] = {
    "list": "ssl_registry.cli.data_catalogue:list_datasets",
    "info": "ssl_registry.cli.data_catalogue:info",
    "download": "ssl_registry.cli.data_download:download",
    "verify": "ssl_registry.cli.data_verify:verify",
    "stats": "ssl_registry.cli.data_pictures:stats",
    "gallery": "ssl_registry.cli.data_pictures:gallery",
    "split": "ssl_registry.cli.data_split:split",
    "duplicates": "ssl_registry.cli.data_duplicates:duplicates",
    "cache": "ssl_registry.cli.data_cache:cache",
    "sample": "ssl_registry.cli.data_sample:sample",
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    invoke_without_command=True,
    epilog=verbatim(
        """
        Examples:  ssl-registry data list
                   ssl-registry data info busi
                   ssl-registry data download busi --to data/busi
                   ssl-registry data verify busi=data/busi
        """
    ),
)
@click.pass_context
def data(ctx: click.Context) -> None:
    """Image sets: fetch, check, look at and divide them."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
