"""Shared by the tests of what is done with images."""

from __future__ import annotations

import pytest

from ssl_registry.data import duplicates
from ssl_registry.data.registration import Detail, Match, match


@pytest.fixture
def close_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[Match]:
    """What each close comparison of two images found; it is they that take time."""
    found: list[Match] = []

    def noted(one: Detail, other: Detail) -> Match:
        found.append(match(one, other))
        return found[-1]

    monkeypatch.setattr(duplicates, "match", noted)
    return found
