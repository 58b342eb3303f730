"""`ssl-registry plugins new`: a whole package to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ssl_registry.cli.text import verbatim
from ssl_registry.scaffold import (
    LICENCES,
    PLUGIN_KINDS,
    Author,
    PluginNames,
    check_free,
    plugin_names,
    write_package,
)

_TRY = {"decoder": "ssl-registry finetune example.toml"}
_TRY_ELSE = "ssl-registry pretrain example.toml"


@click.command(
    "new",
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins new my-method --kind method
                   ssl-registry plugins new thyroid --kind dataset --into ~/plugins
                   ssl-registry plugins new my-net --kind backbone --licence MIT \\
                     --author "Jane Doe <jane@example.org>"
        """
    ),
)
@click.argument("name")
@click.option(
    "--kind", required=True, type=click.Choice(PLUGIN_KINDS), help="What the plugin offers."
)
@click.option(
    "--into",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The folder that the plugin's own folder NAME is made in.  [default: here]",
)
@click.option(
    "--licence",
    "--license",
    type=click.Choice(LICENCES),
    default=LICENCES[0],
    show_default=True,
    help="Licence of the package.",
)
@click.option(
    "--author",
    metavar="TEXT",
    help="'Name' or 'Name <address>'.  [default: The NAME authors]",
)
def new(name: str, kind: str, into: Path, licence: str, author: str | None) -> None:
    """Write a new plugin: a package to start from.

    NAME is what pip will install, such as my-method; Python imports my_method. The package can be
    installed, tested and used at once: its component is small but works, and is there to be
    replaced by yours. Nothing is overwritten.
    """
    names = plugin_names(name, kind)
    check_free(names)
    written_by = Author.parse(f"The {name} authors" if author is None else author)
    folder, files = write_package(into, names, licence, written_by)
    click.echo(f"wrote {len(files)} files to {folder}; next:\n\n{_next_steps(names, folder)}")


def _next_steps(names: PluginNames, folder: Path) -> str:
    commands = [
        (f"cd {shlex.quote(str(folder))}", ""),
        ('pip install -e ".[dev]"', "in the environment that has ssl-registry"),
        ("python -m pytest", "all that is asked of a plugin, and tests of its own"),
        (f"ssl-registry plugins check {names.distribution}", "the first of these, by itself"),
    ]
    if names.kind == "dataset":
        commands.append((f"ssl-registry data sample {names.component}", "a tiny set of images"))
    commands.append((_TRY.get(names.kind, _TRY_ELSE), "a few steps of training with it"))
    width = max(len(command) for command, why in commands if why)
    lines = [f"  {c.ljust(width)}  # {why}" if why else f"  {c}" for c, why in commands]
    yours = (
        f"then write your own into {names.package}/{names.kind}.py and config.py, and test it in "
        f"tests/test_{names.kind}.py"
    )
    return "\n".join([*lines, "", yours])
