"""`ssl-registry weights check` and `compare`: are weights whole, and how do two differ?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.text import align, verbatim
from ssl_registry.cli.weights_show import folder_argument, json_option

if TYPE_CHECKING:
    from ssl_registry.weights.compare import Comparison

SHOWN = 10
"""So many names are told; all of them are in the JSON."""


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry weights check runs/pretrain-ID/weights
                   ssl-registry weights check encoder --json
        """
    )
)
@folder_argument
@json_option
@click.pass_context
def check(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Check the weights in FOLDER: digests, licences, and whether they load.

    What is worth knowing is a note. The exit status is 1 if anything is wrong.
    """
    from ssl_registry.weights.check import check_folder

    findings = check_folder(folder)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        rows = [(finding.subject, finding.state, finding.detail) for finding in findings]
        click.echo(f"{folder}\n{align(rows, indent='  ')}")
    if any(finding.state == "wrong" for finding in findings):
        ctx.exit(1)


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry weights compare runs/pretrain-ID/weights runs/finetune-ID/weights
                   ssl-registry weights compare a b --json
        """
    )
)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
def compare(first: Path, second: Path, as_json: bool) -> None:
    """Say how the weights in FIRST and SECOND differ, part by part.

    The tensors of an encoder are compared with those of the backbone of a whole network.
    """
    from ssl_registry.weights.compare import compare as compared
    from ssl_registry.weights.read import read_weights

    result = compared(read_weights(first), read_weights(second))
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2))
    else:
        click.echo(_as_text(first, second, result))


def _as_text(first: Path, second: Path, result: Comparison) -> str:
    lines = ["all tensors are equal, bit for bit" if result.same else "the tensors differ"]
    for folder, names in ((first, result.only_first), (second, result.only_second)):
        if names:
            lines.append(f"{len(names)} only in {folder}: {_named(names)}")
    if result.shapes:
        shown = tuple(f"{name} {list(a)} and {list(b)}" for name, a, b in result.shapes)
        lines.append(f"{len(shown)} of other shapes: {_named(shown)}")
    if result.groups:
        rows = [
            (group.name, str(group.tensors), f"{group.difference:.3g}", _cosine(group.cosine))
            for group in result.groups
        ]
        lines += ["", align([("PART", "TENSORS", "MAX DIFFERENCE", "COSINE"), *rows])]
    if result.settings:
        head = ("SETTING", str(first), str(second))
        lines += ["", align([head, *result.settings])]
    return "\n".join(lines)


def _cosine(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
