"""`ssl-registry data verify`: is a dataset whole?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.data_argument import data_arguments, data_configs
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.config.model import DatasetConfig
    from ssl_registry.data.verify import Count, Verification

SHOWN = 20
"""So many counts and problems are told, besides counts that differ; the JSON has all."""


@click.command(
    epilog=verbatim(
        """
        DATA:      a dataset NAME, NAME=FOLDER, or a TOML file with `data`
        Examples:  ssl-registry data verify busi
                   ssl-registry data verify busi=data/busi camus=data/camus
                   ssl-registry data verify finetune.toml --json
        """
    )
)
@data_arguments
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
@click.pass_context
def verify(
    ctx: click.Context, data: tuple[str, ...], overrides: tuple[str, ...], as_json: bool
) -> None:
    """Read every image and mask of DATA, and count.

    Tells what is unreadable, missing or of a wrong size, and where the counts differ from those of
    the official release. The exit status is 1 if anything is wrong.
    """
    from ssl_registry.data.verify import verify as verified

    configs = data_configs(data, overrides)
    results = [(config, verified(config)) for config in configs]
    if as_json:
        import json

        click.echo(json.dumps([_as_json(*result) for result in results], indent=2))
    else:
        click.echo("\n\n".join(_as_text(*result) for result in results))
    if not all(result.ok for _, result in results):
        ctx.exit(1)


def _as_json(config: DatasetConfig, result: Verification) -> dict[str, Any]:
    root = getattr(config, "root", None)
    return {
        "dataset": config.name,
        "root": None if root is None else str(root),
        "ok": result.ok,
        "counts": [{**asdict(count), "ok": count.ok} for count in result.counts],
        "problems": [asdict(problem) for problem in result.problems],
    }


def _as_text(config: DatasetConfig, result: Verification) -> str:
    root = getattr(config, "root", None)
    lines = [config.name + (f" in {root}" if root is not None else "")]
    told = [c for place, c in enumerate(result.counts) if place < SHOWN or not c.ok]
    rows = [("COUNT", "FOUND", "RELEASE", ""), *(_row(count) for count in told)]
    lines.append(align(rows, indent="  "))
    if len(told) < len(result.counts):
        lines.append(f"  and {len(result.counts) - len(told)} more counts; --json has them all")
    for problem in result.problems[:SHOWN]:
        lines.append(f"  {problem.kind}: {problem.reason}")
    more = len(result.problems) - SHOWN
    if more > 0:
        lines.append(f"  and {more} more problems; --json has them all")
    differing = sum(not count.ok for count in result.counts)
    wrong = f"{len(result.problems)} problems, {differing} counts differ from the release"
    lines.append("  nothing is wrong" if result.ok else f"  {wrong}")
    return "\n".join(lines)


def _row(count: Count) -> tuple[str, str, str, str]:
    expected = "-" if count.expected is None else str(count.expected)
    return count.name, str(count.found), expected, "" if count.ok else "differs"
