"""`ssl-registry weights export`: weights for another library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from ssl_registry.cli.options import out_option
from ssl_registry.cli.text import verbatim

if TYPE_CHECKING:
    from ssl_registry.weights.card import Card

TARGETS = ("timm", "torchvision", "smp", "onnx", "torch-export")


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry weights export runs/pretrain-ID/weights --to timm --out encoder \\
                       --licence CC-BY-4.0
                   ssl-registry weights export runs/finetune-ID/weights --to onnx --out lesions \\
                       --licence CC-BY-4.0 --with-normalization
                   ssl-registry weights export runs/finetune-ID/weights --to smp --out encoder \\
                       --part encoder --architecture tu-resnet18
        """
    )
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--to", "target", type=click.Choice(TARGETS), required=True, help="Who is to read it."
)
@out_option("Folder to write; it must not be there.", required=True)
@click.option("--licence", metavar="SPDX", help="Licence of the weights; asked for if not known.")
@click.option("--replace", is_flag=True, help="Replace weights that are in --out.")
@click.option(
    "--part",
    type=click.Choice(["encoder", "network"]),
    help="The encoder alone, or the whole network (the default where there is one).",
)
@click.option("--architecture", metavar="NAME", help="smp's name of the encoder: tu-resnet18.")
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="PX",
    help="Side of the images of onnx and torch-export; default that of the training.",
)
@click.option(
    "--with-normalization",
    is_flag=True,
    help="onnx and torch-export: take images in [0, 1] and normalise them inside.",
)
def export(
    source: Path,
    target: str,
    out: Path,
    licence: str | None,
    replace: bool,
    part: str | None,
    architecture: str | None,
    image_size: int | None,
    with_normalization: bool,
) -> None:
    """Write the weights in SOURCE as another library reads them.

    Outputs are compared with those of this library before anything is kept. The card and a README
    with a usage snippet lie beside the weights.
    """
    from ssl_registry.weights.card import read_card

    card = read_card(source)
    _tell_data(card)
    if card.licence is None and licence is None and at_terminal():
        licence = click.prompt("Licence of these weights (SPDX name, such as CC-BY-4.0)", err=True)

    from ssl_registry.weights.export import export_weights
    from ssl_registry.weights.licences import warnings_about
    from ssl_registry.weights.targets.contract import ExportOptions, Part

    options = ExportOptions(
        part=next((known for known in get_args(Part) if known == part), None),
        architecture=architecture,
        image_size=image_size,
        with_normalization=with_normalization,
    )
    written = export_weights(source, target, out, licence=licence, replace=replace, options=options)
    for warning in warnings_about(written, written.licence or ""):
        click.echo(f"warning: {warning}", err=True)
    click.echo(out)


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _tell_data(card: Card) -> None:
    """Show the licences of what went in before that of the weights is asked for."""
    from ssl_registry.weights.licences import data_used, licences_before

    for item in data_used(card):
        click.echo(f"trained on {item['name']}: licence {item['licence']}", err=True)
    for licence in licences_before(card):
        click.echo(f"started from weights: licence {licence}", err=True)
