"""Options that several commands share, and how a training command is interrupted."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

file_argument = click.argument("file", type=click.Path(path_type=Path))

overrides_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a setting, e.g. --set training.epochs=5; repeatable. The value is TOML or "
    "plain text; KEY= without a value removes the key, so that its preset or default holds.",
)

resume_option = click.option(
    "--resume", is_flag=True, help="Go on from the last checkpoint of the same run."
)

device_option = click.option(
    "--device",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Where to compute: auto, cpu, cuda, cuda:1 or mps.",
)


def out_option(help_text: str, **settings: Any) -> Callable[[Command], Command]:
    """The option `--out DIR`."""
    return click.option(
        "--out", metavar="DIR", type=click.Path(path_type=Path), help=help_text, **settings
    )


def check_new(out: Path | None) -> None:
    """Check that nothing lies at `out`, which would be overwritten.

    Raises:
        RunError: There is a file or a folder.
    """
    from ssl_registry.errors import RunError

    if out is not None and (out.exists() or out.is_symlink()):
        raise RunError(f"{out} is there already and is not overwritten; name another --out")


class Interrupted(click.ClickException):
    """Ctrl-C; says how to go on."""

    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message, in one line, to stderr."""
        click.echo(self.format_message(), file=file, err=True)


@contextlib.contextmanager
def interruptible(*resume: str) -> Iterator[None]:
    """Turn Ctrl-C into one line that says how to resume: this command line plus `resume`."""
    try:
        yield
    except KeyboardInterrupt:
        given: list[str] = click.get_current_context().obj
        words = ["ssl-registry", *given, *(word for word in resume if word not in given)]
        raise Interrupted(f"interrupted; to go on: {shlex.join(words)}") from None
