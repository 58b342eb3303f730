"""Keeping what was loaded for the next run of the same process, where many runs share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar, cast

LIMIT: Final = 16
"""So many things are kept, those used last."""

Thing = TypeVar("Thing")

_things: OrderedDict[Hashable, Any] | None = None


def keep_data() -> None:
    """From now on keep what is loaded in this process; files must not change meanwhile."""
    global _things
    if _things is None:
        _things = OrderedDict()


def kept(key: Hashable, load: Callable[[], Thing]) -> Thing:
    """What `load` gives, or gave when it was last called with `key`, if it is kept."""
    if _things is None:
        return load()
    if key not in _things:
        _things[key] = load()
        if len(_things) > LIMIT:
            _things.popitem(last=False)
    _things.move_to_end(key)
    return cast("Thing", _things[key])
