"""`ssl-registry data download`: fetch the official release of a dataset."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.options import interruptible
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.interfaces.dataset import Dataset, Release


@click.command(
    epilog=verbatim(
        """
        Examples:  SSL_REGISTRY_DATA=/images ssl-registry data download busi
                   ssl-registry data download busi --to data/busi
                   ssl-registry data download busi --to data/busi --accept-licence
        """
    )
)
@click.argument("name")
@click.option(
    "--to",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The new folder of the dataset; default: the folder NAME in $SSL_REGISTRY_DATA.",
)
@click.option(
    "--accept-licence", is_flag=True, help="Accept the licence of the data without being asked."
)
@click.option(
    "--keep-archive", is_flag=True, help="Keep what was downloaded, in DIR.download beside DIR."
)
def download(name: str, to: Path | None, accept_licence: bool, keep_archive: bool) -> None:
    """Download the official release of the dataset NAME.

    Shows the licence and asks whether you accept it. The files are checked against their checksums
    and unpacked; a download that was interrupted goes on when the command is called again. A
    folder that holds something already is not touched.
    """
    from ssl_registry import registry
    from ssl_registry.build import build_dataset
    from ssl_registry.cli.data_argument import data_config
    from ssl_registry.data import download as downloading

    registry.find("dataset", name)
    config = data_config(name)
    # Whether it can be downloaded at all comes before the question where to.
    release = downloading.downloadable(build_dataset(config))
    root = _target(name, to)
    dataset = downloading.dataset_at(config, root)
    downloading.check_free(root)
    _agree(dataset, release, accept_licence)
    with interruptible():
        kept = downloading.download(dataset, root, keep_archives=keep_archive)
    _tell(dataset, release, root)
    for archive in kept:
        click.echo(f"kept: {archive}")


def _target(name: str, to: Path | None) -> Path:
    from ssl_registry.config.folder import DATA_VARIABLE, data_home
    from ssl_registry.errors import ConfigError

    if to is not None:
        return to.expanduser().absolute()
    home = data_home()
    if home is None:
        raise ConfigError(
            f"it is not said where {name!r} shall be put: give --to DIR, or set the environment "
            f"variable {DATA_VARIABLE} to the folder of all datasets"
        )
    return home.absolute() / name.rpartition("/")[2]


def _agree(dataset: Dataset, release: Release, accepted: bool) -> None:
    """Show the licence and have it accepted."""
    from ssl_registry.data.room import in_words
    from ssl_registry.errors import UserError

    info, name = dataset.info, dataset.config.name
    sizes = [part.size for part in release.downloads]
    size = in_words(sum(s for s in sizes if s)) if all(sizes) else "not known"
    rows = [
        ("dataset", f"{name}, release {release.version}"),
        ("licence", info.licence),
        ("source", info.source),
        ("size", size),
    ]
    click.echo(align(rows), err=True)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise UserError(
            f"the licence of {name!r} is {info.licence}; if you accept it, add --accept-licence"
        )
    if not click.confirm("Do you accept the licence?", err=True):
        raise UserError("the licence was not accepted; nothing was downloaded")


def _tell(dataset: Dataset, release: Release, root: Path) -> None:
    from ssl_registry.data.verify import count

    found: Mapping[str, int] = count(dataset.samples())
    click.echo(f"{dataset.config.name}: {found['images']} images in {root}")
    differing = [key for key, number in release.totals.items() if found.get(key, 0) != number]
    if differing:
        click.echo(
            f"the counts of the release differ ({', '.join(differing)}); see "
            f"ssl-registry data verify {dataset.config.name}={root}",
            err=True,
        )
