"""`ssl-registry plugins check`: does a plugin keep its contracts?"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.testing import Check, CheckResult


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry plugins check my-distribution
                   ssl-registry plugins check simclr --json
        """
    )
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
@click.pass_context
def check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Check the plugin, or all plugins of the distribution, called NAME.

    These are the checks of ssl_registry.testing, which a plugin's own tests run too. Each one
    that fails says what to do. The exit status is 1 if any fails.
    """
    from ssl_registry.testing import collect_checks, run_checks

    # What a plugin prints must not mix with our own output (--json).
    with contextlib.redirect_stdout(sys.stderr):
        results = list(run_checks(collect_checks(name)))
    if as_json:
        click.echo(json.dumps([_as_json(result) for result in results], indent=2))
    else:
        click.echo(as_text(results))
    if not all(result.passed for result in results):
        ctx.exit(1)


def as_text(results: Sequence[CheckResult]) -> str:
    """A row for each component, then what is wrong and what to do."""
    rows = [_row(*group) for group in _by_component(results)]
    lines = [align([("KIND", "NAME", "PLUGIN", "CHECKS", "SECONDS", "FAILED"), *rows]), ""]
    for problem, failed in _by_problem(results):
        lines += [_heading([result.check for result in failed]), f"  {problem}", ""]
    lines.append(f"{sum(result.passed for result in results)} of {len(results)} checks pass")
    return "\n".join(lines)


def _by_problem(results: Iterable[CheckResult]) -> Iterator[tuple[str, list[CheckResult]]]:
    """What is wrong, and all checks that say so: each problem is told once."""
    groups: dict[str, list[CheckResult]] = {}
    for result in results:
        if not result.passed:
            groups.setdefault(result.problem, []).append(result)
    return iter(groups.items())


def _heading(checks: Sequence[Check]) -> str:
    first, *others = checks
    if others:
        return ", ".join([first.id, *(check.name for check in others)])
    return f"{first.id}: {first.holds}"


def _by_component(
    results: Iterable[CheckResult],
) -> Iterator[tuple[tuple[str, str, str], list[CheckResult]]]:
    groups: dict[tuple[str, str, str], list[CheckResult]] = {}
    for result in results:
        check = result.check
        groups.setdefault((check.kind, check.component, check.plugin), []).append(result)
    return iter(groups.items())


def _row(component: tuple[str, str, str], results: Sequence[CheckResult]) -> tuple[str, ...]:
    failed = ", ".join(result.check.name for result in results if not result.passed)
    seconds = sum(result.seconds for result in results)
    return (*component, str(len(results)), f"{seconds:.1f}", failed or "-")


def _as_json(result: CheckResult) -> dict[str, object]:
    check = result.check
    return {
        "id": check.id,
        "plugin": check.plugin,
        "kind": check.kind,
        "component": check.component,
        "check": check.name,
        "holds": check.holds,
        "passed": result.passed,
        "problem": result.problem,
        "seconds": round(result.seconds, 3),
    }
