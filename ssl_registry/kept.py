"""Keeping what was loaded for the next run of the same process, where many runs share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar, cast

LIMIT: Final = 16
"""So many things of a kind are kept, those used last, unless it is said otherwise."""

Thing = TypeVar("Thing")

_kinds: dict[str, OrderedDict[Hashable, Any]] | None = None


def keep_loaded() -> None:
    """From now on keep what is loaded in this process; files must not change meanwhile."""
    global _kinds
    if _kinds is None:
        _kinds = {}


def kept(kind: str, key: Hashable, load: Callable[[], Thing], *, most: int = LIMIT) -> Thing:
    """What `load` gives, or gave when it was last called with `key`, if it is kept.

    Args:
        kind: What sort of thing it is.
        key: Which one of its kind.
        load: Gives it.
        most: How many of its kind are kept, those used last.
    """
    if _kinds is None:
        return load()
    things = _kinds.setdefault(kind, OrderedDict())
    if key not in things:
        things[key] = load()
        while len(things) > most:
            things.popitem(last=False)
    things.move_to_end(key)
    return cast("Thing", things[key])
