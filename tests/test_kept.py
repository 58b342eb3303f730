"""What a worker keeps between its runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ssl_registry import kept as module
from ssl_registry.kept import keep_loaded, kept


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kinds", None)


def numbers() -> Iterator[int]:
    yield from range(100)


def test_nothing_is_kept_unless_asked_for() -> None:
    calls = numbers()
    assert [kept("data", "a", lambda: next(calls)) for _ in range(3)] == [0, 1, 2]


def test_a_thing_is_loaded_once_until_others_of_its_kind_push_it_out() -> None:
    keep_loaded()
    keep_loaded()  # a second run of the same worker
    calls = numbers()

    def load(kind: str, key: str) -> int:
        return kept(kind, key, lambda: next(calls), most=2)

    assert [load("data", key) for key in "aabab"] == [0, 0, 1, 0, 1]
    assert load("weights", "a") == 2 and load("data", "a") == 0
    assert load("data", "c") == 3  # b was used longest ago
    assert [load("data", "a"), load("data", "b")] == [0, 4]
    assert load("weights", "a") == 2
