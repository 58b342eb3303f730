"""The checks of a plugin as the cases of a pytest test."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ssl_registry.registry import suggest
from ssl_registry.testing.check import Check, CheckFailure
from ssl_registry.testing.collect import collect_checks


def parametrize_checks(
    provider: str, *, expected_failures: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorate a test that takes a `check`, to be run once for each check of a plugin.

    Example:
        >>> @parametrize_checks("my-distribution", expected_failures={"odd_sizes": "a fixed size"})
        ... def test_contract(check: Check) -> None:
        ...     check()

    Args:
        provider: Name of the distribution, the plugin, or both as `distribution:plugin`.
        expected_failures: Which checks fail, and why. A key is a check's name, such as
            `odd_sizes`, for all components that have it, or its id, such as
            `backbone/vit/odd_sizes`. A check that passes although it is named is a failure.

    Raises:
        PluginError: There is no such plugin.
        pytest.UsageError: It has no such check as `expected_failures` names.
    """
    expected = expected_failures or {}
    checks = collect_checks(provider)
    known = {name for check in checks for name in (check.id, check.name)}
    for key in expected:
        if key not in known:
            near = suggest(key, sorted(known))
            names = ", ".join(sorted({check.name for check in checks}))
            raise pytest.UsageError(
                f"expected_failures names {key!r}, but {provider!r} has no such check{near}; "
                f"write one of {names}, or a check's id"
            )
    return pytest.mark.parametrize("check", [_case(check, expected) for check in checks])


def _case(check: Check, expected: Mapping[str, str]) -> object:
    reason = expected.get(check.id, expected.get(check.name))
    if reason is None:
        return pytest.param(check, id=check.id)
    mark = pytest.mark.xfail(reason=reason, strict=True, raises=CheckFailure)
    return pytest.param(check, id=check.id, marks=mark)
