"""How long each plugin takes to import, and which heavy modules it pulls in at its top.

Each is imported in a fresh interpreter: in one process, whoever imports torch first would pay for
all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ssl_registry.discovery import PluginRecord
from ssl_registry.fresh_interpreter import NotDoneError, run_module
from ssl_registry.timed_import import MARK

HEAVY_SECONDS: Final = 0.05
"""A package that takes longer than this to import is named."""

_LINE: Final = re.compile(r"import time:\s+\d+ \|\s+(\d+) \| (\s*)(\S+)")


@dataclass(frozen=True)
class ImportTime:
    """What the import of a plugin costs.

    Attributes:
        plugin: Which.
        seconds: In a fresh interpreter; None if that could not be measured.
        heavy: The packages it pulled in that cost much, with their seconds, slowest first. Each
            is counted with all that it imported first, so one may be part of another.
        problem: Why the import did not end well; empty if it did.
    """

    plugin: PluginRecord
    seconds: float | None
    heavy: tuple[tuple[str, float], ...] = ()
    problem: str = ""


def import_time(plugin: PluginRecord) -> ImportTime:
    """Measure one plugin; one that is disabled is not imported."""
    if plugin.status == "disabled":
        return ImportTime(plugin, None, problem="disabled")
    try:
        done = run_module(
            "ssl_registry.timed_import",
            [plugin.name, plugin.module],
            options=["-X", "importtime"],
        )
    except NotDoneError as error:
        return ImportTime(plugin, None, problem=str(error))
    try:
        measured = json.loads(done.stdout)
    except ValueError:
        return ImportTime(plugin, None, problem=f"ended the process (status {done.returncode})")
    _, _, lines = done.stderr.decode(errors="replace").partition(MARK)
    own = plugin.module.partition(":")[0].partition(".")[0]
    costs = {name: cost for name, cost in _costs(lines).items() if name != own}
    heavy = sorted(costs.items(), key=lambda item: -item[1])
    return ImportTime(
        plugin,
        measured["seconds"],
        tuple((name, cost) for name, cost in heavy if cost >= HEAVY_SECONDS),
        measured["error"],
    )


def _costs(lines: str) -> dict[str, float]:
    """Seconds by top-level package, from what `-X importtime` has written."""
    costs: dict[str, float] = {}
    above: list[tuple[int, str]] = []
    for depth, package, seconds in _imports(lines):
        while above and above[-1][0] >= depth:
            above.pop()
        if package not in (name for _, name in above):
            costs[package] = costs.get(package, 0.0) + seconds
        above.append((depth, package))
    return costs


def _imports(lines: str) -> Iterator[tuple[int, str, float]]:
    """Depth, top-level package and seconds of each import, what imports before what it imports."""
    # Python writes a line when an import ends: the last line is the outermost one.
    for line in reversed(lines.splitlines()):
        found = _LINE.match(line)
        if found:
            microseconds, indent, name = found.groups()
            yield len(indent), name.partition(".")[0], int(microseconds) / 1e6
