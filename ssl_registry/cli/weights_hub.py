"""`ssl-registry weights push` and `pull`: folders of weights on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import out_option
from ssl_registry.cli.text import verbatim

revision_option = click.option(
    "--revision", metavar="NAME", help="A branch (to pull, also a tag or commit); default: main."
)


@click.command(
    epilog=verbatim(
        """
        Example:  ssl-registry weights push exported me/ultrasound-resnet50 --private
        """
    )
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make a new repository that only you can see.")
@revision_option
def push(folder: Path, repository: str, private: bool, revision: str | None) -> None:
    """Upload FOLDER, a folder of weights with a stated licence, to the Hugging Face Hub.

    The folder is checked first, and only the files of its layout are uploaded. Log in with
    `hf auth login`. Prints the address of what was made.
    """
    from ssl_registry.weights import hub

    click.echo(hub.push(folder, repository, private=private, revision=revision))


@click.command(
    epilog=verbatim(
        """
        Example:  ssl-registry weights pull me/ultrasound-resnet50 --out weights
        """
    )
)
@click.argument("repository", metavar="OWNER/NAME")
@out_option("The new folder of weights.", required=True)
@revision_option
def pull(repository: str, out: Path, revision: str | None) -> None:
    """Download a folder of weights from the Hugging Face Hub.

    It appears at DIR only if its files are those that its card describes. Offline, what the local
    cache of the Hub holds is used. Prints the folder.
    """
    from ssl_registry.weights import hub

    card = hub.pull(repository, out, revision=revision)
    click.echo(f"licence: {card.licence or 'not stated'}", err=True)
    click.echo(out)
