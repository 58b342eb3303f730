"""`ssl-registry predict`: masks for images."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import device_option, out_option
from ssl_registry.cli.text import verbatim


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry predict runs/finetune-ID/weights scans --out masks
                   ssl-registry predict runs/finetune-ID/weights a.png b.jpg --out masks
        """
    )
)
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument(
    "images", metavar="IMAGES...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@out_option("Folder the masks are written to.", required=True)
@device_option
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
def predict(
    weights: Path, images: tuple[Path, ...], out: Path, device: str, overwrite: bool
) -> None:
    """Write the masks of images, and their areas.

    Beside each mask stands a picture with its outline, and areas.csv lists the areas. WEIGHTS is
    the folder `weights` of a fine-tuning run; IMAGES are files, or folders of pictures. Masks
    have the size of their image. Prints the masks it wrote.
    """
    from ssl_registry import api

    for mask in api.predict(weights, images, out, device=device, overwrite=overwrite):
        click.echo(mask)
