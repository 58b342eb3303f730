"""The top of the runner: its commands, and how they end.

Exit status: 0; 2 for a mistake of the user, told in a line or two; 1 for a fault of our own,
with a traceback; 130 after Ctrl-C.
"""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click

from ssl_registry.cli.groups import LazyGroup
from ssl_registry.cli.text import verbatim
from ssl_registry.errors import UserError

OUR_FAULT, USERS_MISTAKE, INTERRUPTED = 1, 2, 130

COMMANDS = {
    "quickstart": "ssl_registry.cli.quickstart:quickstart",
    "plugins": "ssl_registry.cli.plugins:plugins",
    "components": "ssl_registry.cli.components:components",
    "config": "ssl_registry.cli.config:config",
    "data": "ssl_registry.cli.data:data",
    "pretrain": "ssl_registry.cli.train:pretrain",
    "finetune": "ssl_registry.cli.train:finetune",
    "probe": "ssl_registry.cli.probe:probe",
    "study": "ssl_registry.cli.study:study",
    "evaluate": "ssl_registry.cli.evaluate:evaluate",
    "predict": "ssl_registry.cli.predict:predict",
    "weights": "ssl_registry.cli.weights:weights",
    "doctor": "ssl_registry.cli.doctor:doctor",
}

# Errors of the operating system that are about the user's files and disks.
_ENVIRONMENT = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


_LESS_MEMORY = (
    "lower training.batch_size or image_size; or keep the batch and set training.checkpointing = "
    "true, training.accumulation = 2 (batch statistics and negatives then come from half of it), "
    "or training.data_on_device = false"
)


class Runner(LazyGroup):
    """The top group; turns whatever ends a command into a message and an exit status."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run a command line (default: that of the process) and exit."""
        words = sys.argv[1:] if args is None else list(args)
        warnings.showwarning = _show_warning
        extra.update(standalone_mode=False, prog_name="ssl-registry", obj=words)
        try:
            status = super().main(words, **extra)
        except click.UsageError as error:
            _say(f"error: {error.format_message()}")
            if error.ctx is not None:
                click.echo(f"try: {error.ctx.command_path} --help", err=True)
            sys.exit(USERS_MISTAKE)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort as abort:  # click's for Ctrl-C and for a surprising end of a file
            if isinstance(abort.__cause__, EOFError):
                _report_bug()
            _say("interrupted")
            sys.exit(INTERRUPTED)
        except UserError as error:
            _say(f"error: {error}")
            sys.exit(USERS_MISTAKE)
        except OSError as error:
            if error.errno not in _ENVIRONMENT:
                _report_bug()
            place = f": {error.filename}" if error.filename else ""
            _say(f"error: {error.strerror}{place}")
            sys.exit(USERS_MISTAKE)
        except Exception as error:
            if not _out_of_memory(error):
                _report_bug()
            _say(f"error: out of memory: {error}\n{_LESS_MEMORY}")
            sys.exit(USERS_MISTAKE)
        # Commands return nothing; click gives a number only for `ctx.exit(number)`.
        sys.exit(status if isinstance(status, int) else 0)


def _out_of_memory(error: Exception) -> bool:
    """Whether it is Python's error or that of torch, which is not imported for this."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning for the user in one line; where in the code it was raised is no help to them."""
    _say(f"warning: {message}")


def _say(message: str) -> None:
    click.echo(message, err=True)


def _report_bug() -> NoReturn:
    """Show the exception being handled as what it is, our own fault."""
    import traceback

    traceback.print_exc()
    _say(
        "error: this is a bug in ssl_registry (or in a plugin named above), not your mistake; "
        "please report it with the lines above"
    )
    sys.exit(OUR_FAULT)


@click.group(
    cls=Runner,
    targets=COMMANDS,
    invoke_without_command=True,
    epilog=verbatim(
        """
        Look around:      ssl-registry plugins list
                          ssl-registry components
                          ssl-registry components show method simclr
        A first picture:  ssl-registry quickstart
        Your own study:   ssl-registry pretrain pretrain.toml
                          ssl-registry finetune finetune.toml --set weights=runs/pretrain-ID/weights
                          ssl-registry predict runs/finetune-ID/weights image.png --out masks
        """
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="ssl-registry", message="%(prog)s %(version)s")
@click.pass_context
def runner(ctx: click.Context) -> None:
    """Self-supervised pre-training for medical images, composed from plugins."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line of this process."""
    runner.main()
