"""`ssl-registry config`: look at a config as a run would see it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.groups import DefaultGroup
from ssl_registry.cli.options import file_argument, overrides_option
from ssl_registry.cli.text import verbatim
from ssl_registry.errors import UserError

if TYPE_CHECKING:
    from ssl_registry.config.strict import StrictModel

KINDS = ("pretrain", "finetune", "comparison")


@click.group(
    cls=DefaultGroup,
    default="show",
    epilog=verbatim(
        """
        Example:  ssl-registry config show pretrain.toml --set seed=1
        """
    ),
)
def config() -> None:
    """Config files: check them before a run."""


@config.command(
    "show",
    epilog=verbatim(
        """
        Examples:  ssl-registry config show pretrain.toml
                   ssl-registry config show finetune.toml --set fraction=0.1 --set backbone=resnet50
        """
    ),
)
@file_argument
@overrides_option
@click.option(
    "--kind", type=click.Choice(KINDS), help="What FILE describes; default: seen from its keys."
)
def show(file: Path, overrides: tuple[str, ...], kind: str | None) -> None:
    """Check a config FILE and print it as JSON, with all defaults filled in.

    Nothing is run. All mistakes are told at once.
    """
    from ssl_registry.config.load import apply_overrides, read_toml, validate

    table = apply_overrides(read_toml(file), overrides)
    resolved = validate(_model(kind or detect(table)), table, str(file))
    click.echo(resolved.model_dump_json(indent=2))


def detect(table: Mapping[str, Any]) -> str:
    """Which kind of config `table` is, seen from its presets and keys."""
    if "pretrain" in table or "finetune" in table:
        return "comparison"
    if table.get("preset"):
        from ssl_registry.config.presets import preset_names, sections

        # What is wrong with presets is told by the check of the config.
        with contextlib.suppress(UserError):
            kinds = sections(preset_names(table["preset"]))
            if len(kinds) == 1:
                return kinds[0]
    # A pre-training has a method and a list of datasets, a fine-tuning neither.
    if "method" in table or isinstance(table.get("data"), list):
        return "pretrain"
    return "finetune"


def _model(kind: str) -> type[StrictModel]:
    from ssl_registry.config.comparison import ComparisonConfig
    from ssl_registry.config.finetune import FinetuneConfig
    from ssl_registry.config.pretrain import PretrainConfig

    models: dict[str, type[StrictModel]] = {
        "pretrain": PretrainConfig,
        "finetune": FinetuneConfig,
        "comparison": ComparisonConfig,
    }
    return models[kind]
