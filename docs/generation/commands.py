"""The page of the commands, made from what they say of themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from generation.markdown import table
from ssl_registry.cli.runner import runner

PROGRAM = "ssl-registry"
_VERBATIM = "\b\n"
"""Begins the help whose lines click keeps."""


def commands_page() -> str:
    """What `--help` tells of each command, as one page."""
    found = list(_commands(runner, click.Context(runner, info_name=PROGRAM)))
    parts = [
        "# Commands",
        "Made from the commands themselves by `docs/generate.py`; `--help` after any of them says "
        "the same. A mistake of yours ends with the exit status 2 and a message, a fault of the "
        "library with 1 and a traceback, Ctrl-C with 130.",
        table(("command", "what"), (_row(context) for context in found)),
        *(section(context) for context in found),
    ]
    return "\n\n".join(parts) + "\n"


def _commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """The context of each command that does something, in the order of use."""
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _commands(inner, click.Context(inner, parent=context, info_name=name))


def _row(context: click.Context) -> tuple[str, str]:
    anchor = context.command_path.replace(" ", "-")
    return f"[`{context.command_path}`](#{anchor})", context.command.get_short_help_str(limit=200)


def section(context: click.Context) -> str:
    """A command: what it does, how it is called, its options, and examples."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## {context.command_path}",
        inspect.cleandoc(command.help or "").partition("\f")[0].strip(),
        f"```text\n{usage}\n```",
    ]
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    options = [(f"`{name}`", what) for name, what in filter(None, records) if "--help" not in name]
    if options:
        parts.append(table(("option", "what"), options))
    if command.epilog:
        parts.append(f"```text\n{command.epilog.removeprefix(_VERBATIM).strip()}\n```")
    return "\n\n".join(parts)
