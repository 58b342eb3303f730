"""Packages that ssl-registry needs, and those of its extras."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

from ssl_registry.doctor.finding import Finding, Level
from ssl_registry.requirements import OWN_NAME, extras_of, needs_of

_NOT_FOR_USERS: Final = frozenset({"dev", "docs"})


def packages() -> Iterator[Finding]:
    """Those that must be there, and those that may, but not in an old version."""
    try:
        own = distribution(OWN_NAME)
    except PackageNotFoundError:
        yield Finding(
            OWN_NAME,
            "is not installed, only imported, so that no plugin is found",
            "broken",
            "pip install -e . in its source folder, or pip install ssl-registry",
        )
        return
    needs = needs_of(own)
    met = sum(need.met for need in needs)
    yield Finding("needed", f"{met} of {len(needs)} are there")
    for need in needs:
        if not need.met:
            advice = f"pip install --upgrade '{need.text}'"
            yield Finding(need.name, f"{need.text} is needed, {need.told}", "broken", advice)
    for extra in extras_of(own):
        if extra not in _NOT_FOR_USERS:
            for need in needs_of(own, extra):
                old = bool(need.installed) and not need.met
                advice = f"pip install --upgrade '{OWN_NAME}[{extra}]'" if old else ""
                told = f"{need.told}" + f"; {need.text} is needed for it" * old
                yield Finding(f"extra {extra}", f"{need.name}: {told}", _level(old), advice)


def _level(old: bool) -> Level:
    return "note" if old else "ok"
