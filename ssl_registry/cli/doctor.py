"""`ssl-registry doctor`: is this installation in order, and if not, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.doctor.finding import Finding, Section

_MARKS = {"ok": " ", "note": "!", "broken": "x"}


@click.command(
    epilog=verbatim(
        """
        Exit status: 0 if nothing is broken, else 1
        Examples:    ssl-registry doctor
                     ssl-registry doctor --json
        """
    )
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON object.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Tell what is broken here, and what to do about it.

    Versions, devices, packages, plugins, image caches, data sets and disks are examined. Every
    large library is imported in a process of its own, so that what is broken there can be
    told. The answer is what belongs into a report of a bug.
    """
    from ssl_registry.doctor.examination import examine

    sections = examine()
    broken = sum(f.level == "broken" for section in sections for f in section.findings)
    if as_json:
        import json

        tables = {s.title: [asdict(finding) for finding in s.findings] for s in sections}
        click.echo(json.dumps({"broken": broken, "sections": tables}, indent=2))
    else:
        click.echo(_text(sections))
        click.echo(f"\n{_verdict(broken)}")
    ctx.exit(1 if broken else 0)


def _verdict(broken: int) -> str:
    if not broken:
        return "nothing is broken"
    return f"{broken} {'thing is' if broken == 1 else 'things are'} broken, marked with x"


def _text(sections: Sequence[Section]) -> str:
    return "\n\n".join(_section(section) for section in sections)


def _section(section: Section) -> str:
    names = align([(_MARKS[f.level], f.name, "|") for f in section.findings]).splitlines()
    lines = [section.title]
    for heading, finding in zip(names, section.findings, strict=True):
        lines += _finding(heading.removesuffix("|"), finding)
    return "\n".join(lines)


def _finding(heading: str, finding: Finding) -> list[str]:
    lines = [f"{heading}{finding.value}"]
    if finding.advice:
        lines.append(" " * len(heading) + f"-> {finding.advice}")
    return lines
