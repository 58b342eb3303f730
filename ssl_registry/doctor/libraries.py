"""Whether the large libraries can be imported, tried where a crash does no harm."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ssl_registry.fresh_interpreter import NotDoneError, run_module

LIBRARIES: Final = ("torch", "torchvision", "kornia", "timm")

Facts = Mapping[str, Any]


@functools.cache
def imported_libraries() -> Mapping[str, Facts]:
    """For each library its `version`, or the `error` of its import; for torch also its devices."""
    return try_imports(LIBRARIES)


def try_imports(names: Sequence[str]) -> dict[str, Facts]:
    """What became of the import of each name; one that ends the process stops no other."""
    facts: dict[str, Facts] = {}
    while len(facts) < len(names):
        remaining = [name for name in names if name not in facts]
        answers, end = _answers(remaining)
        facts |= answers
        for name in remaining:
            if name not in facts:
                # The first that did not answer is the one that ended the process.
                facts[name] = {"error": end}
                break
    return facts


def _answers(names: Sequence[str]) -> tuple[dict[str, Facts], str]:
    """What one process said of some imports, and how it ended if it did not come to all."""
    try:
        done = run_module("ssl_registry.doctor.import_libraries", names)
    except NotDoneError as error:
        return {}, str(error)
    answers = {}
    for line in done.stdout.decode(errors="replace").splitlines():
        try:
            answer = json.loads(line)
            answers[str(answer.pop("name"))] = answer
        except (ValueError, KeyError, AttributeError, TypeError):
            continue  # a library that writes past our redirection
    return answers, f"the import ended the process with status {done.returncode}"
