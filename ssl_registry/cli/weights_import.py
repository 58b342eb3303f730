"""`ssl-registry weights import`: weights of other libraries as a folder of this one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ssl_registry.cli.options import out_option, overrides_option
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.config.importing import ImportConfig
    from ssl_registry.weights.fit import LoadReport
    from ssl_registry.weights.importing import Origin
    from ssl_registry.weights.layouts import Source

AUTO = "auto"
TIMM = "timm:"
# Spelt out, because the module that knows them imports torch; a test holds the two together.
SOURCES = ("timm", "torchvision", "smp", "lightly", "solo-learn", "moco", "simsiam")


def _numbers(ctx: click.Context, option: click.Parameter, given: str | None) -> list[float] | None:
    """The numbers in `0.485,0.456,0.406`."""
    try:
        return None if given is None else [float(part) for part in given.split(",")]
    except ValueError:
        message = f"{given!r} is no number, nor numbers with commas between them"
        raise click.BadParameter(message, ctx, option) from None


@click.command(
    "import",
    epilog=verbatim(
        """
        Examples:  ssl-registry weights import moco_v2.pth.tar --backbone resnet50 --out moco
                   ssl-registry weights import last.ckpt --from lightly --backbone resnet18
                                --set backbone.stem=cifar --image-size 32 --out lightly
                   ssl-registry weights import timm:resnet50.a1_in1k --licence apache-2.0
                                --out imagenet
        """
    ),
)
@click.argument("weights", metavar="FILE")
@click.option(
    "--from",
    "source",
    type=click.Choice([AUTO, *SOURCES]),
    default=AUTO,
    show_default=True,
    help="The library that wrote FILE; auto: found out by the names of the tensors.",
)
@click.option("--backbone", metavar="NAME", help="The backbone they belong to, e.g. resnet50.")
@overrides_option
@out_option("The new folder of weights.", required=True)
@click.option("--channels", type=click.Choice(["1", "3"]), help="Of the images; default: 3.")
@click.option("--image-size", type=int, help="Side of the images, px; default: 224.")
@click.option("--mean", metavar="M,M,M", callback=_numbers, help="Default: that of ImageNet.")
@click.option("--std", metavar="S,S,S", callback=_numbers, help="Default: that of ImageNet.")
@click.option("--licence", help="Licence of the weights; it is asked for if not given.")
@click.option("--entry", help="Entry of a checkpoint that holds the tensors, if it has several.")
@click.option(
    "--allow-missing",
    metavar="PATTERN",
    multiple=True,
    help="Tensors that FILE may lack, e.g. 'backbone.layer4.*'; repeatable.",
)
def import_weights(
    weights: str, source: str, out: Path, overrides: tuple[str, ...], **given: Any
) -> None:
    """Write the encoder in FILE, made by another library, as a folder of weights.

    FILE is a safetensors file, or a PyTorch checkpoint (.pth, .pt, .ckpt, .bin, .tar), of which
    only tensors are read; or timm:NAME for weights that timm knows by that name. Every tensor must
    find its place in the backbone; classifiers, projectors and decoders are left out and named.
    """
    from ssl_registry.config.importing import ImportConfig
    from ssl_registry.config.load import apply_overrides, validate
    from ssl_registry.weights.importing import check_free

    check_free(out)
    table = _table(weights, given)
    config = validate(ImportConfig, apply_overrides(table, overrides), "the command line")
    licence = config.licence or _asked()
    config = validate(ImportConfig, {**dict(config), "licence": licence}, "the command line")
    _tell(*_imported(weights, source, config, out), config)
    click.echo(out)


def _imported(
    weights: str, source: str, config: ImportConfig, out: Path
) -> tuple[Origin, LoadReport]:
    if weights.startswith(TIMM):
        from ssl_registry.weights.timm_source import import_from_timm

        if source not in (AUTO, "timm"):
            raise click.UsageError(f"{weights} comes from timm, not from {source}")
        return import_from_timm(weights.removeprefix(TIMM), config, out)
    from ssl_registry.weights.importing import import_file

    wanted = None if source == AUTO else cast("Source", source)
    return import_file(Path(weights), wanted, config, out)


def _table(weights: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the table of an `ImportConfig`."""
    table = {key: value for key, value in given.items() if value not in (None, ())}
    if "channels" in table:
        table["channels"] = int(table["channels"])
    normalization = {key: table.pop(key) for key in ("mean", "std") if key in table}
    if len(normalization) == 1:
        raise click.UsageError("give --mean and --std together")
    if normalization:
        table["normalization"] = normalization
    if "backbone" not in table and weights.startswith(TIMM):
        table["backbone"] = _backbone_of(weights.removeprefix(TIMM))
    return table


def _backbone_of(name: str) -> str:
    """The backbone that is called like an architecture of timm."""
    from ssl_registry import registry

    architecture = name.partition(".")[0]
    if all(found.component.name != architecture for found in registry.components("backbone")):
        raise click.UsageError(
            f"no backbone is called {architecture!r}; say which one has that architecture, e.g. "
            f"--backbone timm --set backbone.model={architecture}"
        )
    return architecture


def _asked() -> str | None:
    """The licence, asked for where somebody can answer; None: not stated."""
    if not sys.stdin.isatty():
        return None
    question = "Licence of the weights, as their makers state it (empty: not stated)"
    return str(click.prompt(question, default="", show_default=False, err=True)).strip() or None


def _tell(origin: Origin, report: LoadReport, config: ImportConfig) -> None:
    """What was recognised, taken, left out and assumed."""
    from ssl_registry.weights.layouts import by_part

    rows = [("recognised", origin.layout), ("taken", f"{len(report.loaded)} tensors")]
    if origin.entry:
        rows.insert(1, ("entry", origin.entry))
    if origin.left_out:
        parts = by_part(origin.left_out)
        rows.append(("left out", ", ".join(f"{part} ({n})" for part, n in parts.items())))
    rows += [("adapted", text) for text in origin.adapted]
    rows += [("note", text) for text in origin.notes]
    if config.licence is None:
        rows.append(("note", "no licence is stated; whoever gets the weights will ask for it"))
    click.echo(align(rows), err=True)
