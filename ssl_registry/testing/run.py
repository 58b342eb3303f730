"""Running checks one after the other, whatever they find."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ssl_registry.testing.check import Check, CheckFailure


@dataclass(frozen=True)
class CheckResult:
    """What came of one check.

    Attributes:
        check: The check.
        problem: What is wrong and what to do; empty if the check passed.
        seconds: How long it took.
    """

    check: Check
    problem: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


def run_checks(checks: Iterable[Check]) -> Iterator[CheckResult]:
    """Run checks, each as its result is asked for; a failure stops no other."""
    for check in checks:
        start = time.perf_counter()
        problem = ""
        try:
            check()
        except CheckFailure as failure:
            problem = str(failure)
        yield CheckResult(check, problem, time.perf_counter() - start)
