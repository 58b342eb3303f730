"""`ssl-registry evaluate`: metrics of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import device_option
from ssl_registry.cli.text import align, verbatim


@click.command(
    epilog=verbatim(
        """
        Example:  ssl-registry evaluate runs/finetune-ID
        """
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@device_option
def evaluate(run: Path, device: str) -> None:
    """Evaluate a fine-tuned network on its test images.

    RUN is the folder of a fine-tuning run. Prints the aggregates; their names say how empty
    masks are counted. metrics.csv in RUN has a row per image, class and size.
    """
    from ssl_registry import api

    aggregates = api.evaluate(run, device=device)
    rows = [(name, f"{value:.4f}") for name, value in aggregates.items()]
    click.echo(align([("METRIC", "VALUE"), *rows]))
