"""The contract kit: checks that every plugin, bundled or foreign, is held to.

A plugin's own tests need four lines:

    from ssl_registry.testing import Check, parametrize_checks

    @parametrize_checks("my-distribution")
    def test_contract(check: Check) -> None:
        check()

`ssl-registry plugins check my-distribution` runs the same checks. Nothing here imports torch
before checks are collected, and only `parametrize_checks` needs pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_registry.testing.check import Check as Check
    from ssl_registry.testing.check import CheckFailure as CheckFailure
    from ssl_registry.testing.collect import collect_checks as collect_checks
    from ssl_registry.testing.parametrize import parametrize_checks as parametrize_checks
    from ssl_registry.testing.run import CheckResult as CheckResult
    from ssl_registry.testing.run import run_checks as run_checks

_MODULE_OF = {
    "Check": "check",
    "CheckFailure": "check",
    "CheckResult": "run",
    "collect_checks": "collect",
    "parametrize_checks": "parametrize",
    "run_checks": "run",
}

__all__ = [
    "Check",
    "CheckFailure",
    "CheckResult",
    "collect_checks",
    "parametrize_checks",
    "run_checks",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'ssl_registry.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"ssl_registry.testing.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
