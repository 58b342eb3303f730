"""`ssl-registry data sample`: a tiny generated set in a dataset's own layout."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import check_new, out_option
from ssl_registry.cli.text import verbatim


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data sample busi
                   ssl-registry data sample busi --out tiny && ssl-registry data verify busi=tiny
        """
    )
)
@click.argument("name")
@out_option("Folder to make.", default=Path("sample"), show_default=True)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Other pixels."
)
def sample(name: str, out: Path, seed: int) -> None:
    """Write a tiny generated sample of the dataset NAME.

    About a dozen images of noise in the layout of the release, to try configs and plugins without
    the data. Nothing can be learnt from them about the real ones.
    """
    from ssl_registry.errors import DataError
    from ssl_registry.files import new_folder
    from ssl_registry.registry import factory

    write = getattr(factory("dataset", name), "write_sample", None)
    check_new(out)
    with new_folder(out) as folder:
        if write is None or write(folder, seed) is None:
            raise DataError(
                f"dataset {name!r} writes no sample; it may need no files (see `ssl-registry data "
                f"info {name}`), or lack the classmethod write_sample of ssl_registry.Dataset"
            )
    count = sum(path.is_file() for path in out.rglob("*"))
    click.echo(f"wrote {count} files to {out}; read them as {name}={out}")
