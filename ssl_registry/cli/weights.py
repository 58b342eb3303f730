"""`ssl-registry weights`: trained weights, as folders that others can use."""

from __future__ import annotations

import click

from ssl_registry.cli.groups import LazyGroup
from ssl_registry.cli.text import verbatim

COMMANDS: dict[str, str] = {
    "show": "ssl_registry.cli.weights_show:show",
    "check": "ssl_registry.cli.weights_check:check",
    "compare": "ssl_registry.cli.weights_check:compare",
    "export": "ssl_registry.cli.weights_export:export",
    "import": "ssl_registry.cli.weights_import:import_weights",
    "push": "ssl_registry.cli.weights_hub:push",
    "pull": "ssl_registry.cli.weights_hub:pull",
}


@click.group(
    cls=LazyGroup,
    targets=COMMANDS,
    invoke_without_command=True,
    epilog=verbatim(
        """
        Examples:  ssl-registry weights show runs/pretrain-ID/weights
                   ssl-registry weights check runs/pretrain-ID/weights
                   ssl-registry weights export runs/pretrain-ID/weights --to timm --out encoder
                   ssl-registry weights import moco.pth.tar --backbone resnet50 --out moco
        """
    ),
)
@click.pass_context
def weights(ctx: click.Context) -> None:
    """Trained weights: look at, check, pass on and bring in."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
