"""Command groups: with commands that are imported late, with a default command, or both."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands are named by `"module:attribute"` and imported when needed."""

    def __init__(self, *args: Any, targets: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.targets = targets

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order they were declared, which is the order of use."""
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if there is no such command."""
        if cmd_name not in self.targets:
            return None
        module, _, attribute = self.targets[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; a near name is suggested."""
        if args[0] not in self.targets and not args[0].startswith("-"):
            from ssl_registry.registry import suggest

            near = suggest(args[0], self.list_commands(ctx))
            ctx.fail(f"there is no command {args[0]!r}{near}")
        return super().resolve_command(ctx, args)


class DefaultGroup(click.Group):
    """A group that goes on with the command `default` where no other is named."""

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front unless a command or help is asked for."""
        plain = [arg for arg in args if not arg.startswith("-")]
        names_command = bool(plain) and plain[0] in self.list_commands(ctx)
        wants_help = not plain and any(arg in self.get_help_option_names(ctx) for arg in args)
        if not names_command and not wants_help:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


class LazyDefaultGroup(LazyGroup):
    """Imports its commands late, and goes on with the command `default` where none is named.

    Other than in a `DefaultGroup`, a word that is no command is a mistake, and a near one is
    suggested.
    """

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front unless a command or help is asked for."""
        plain = any(not arg.startswith("-") for arg in args)
        wants_help = any(arg in self.get_help_option_names(ctx) for arg in args)
        if not plain and not wants_help:
            args = [self.default, *args]
        return super().parse_args(ctx, args)
