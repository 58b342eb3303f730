"""Ordered rules that rename tensors from one library's names to another's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ssl_registry.errors import WeightsError

SHOWN = 3
"""So many names are written out where a rule does not match."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Rename:
    r"""One rule, as data.

    Attributes:
        pattern: A regular expression, searched in each name; anchor it with `^` and `$`.
        to: What takes the place of the first match, with `\1` for groups; None drops the tensor.

    Example:
        >>> Rename(r"^module\.encoder_q\.", "")
        Rename(pattern='^module\\.encoder_q\\.', to='')
    """

    pattern: str
    to: str | None


def prefixed(prefix: str) -> tuple[Rename, ...]:
    """The rule that puts `prefix` before every name."""
    return (Rename("^", prefix.replace("\\", r"\\")),)


def renamed(tensors: Mapping[str, Value], rules: Sequence[Rename]) -> dict[str, Value]:
    """Apply the rules one after the other, each to what the one before made of all names.

    Names that a rule does not match stay as they are.

    Args:
        tensors: Values by name; they are not touched.
        rules: The rules, in order.

    Raises:
        WeightsError: A rule is no regular expression or matches no name, so these are other
            weights than the rules were written for; or two names become the same.
    """
    result = dict(tensors)
    for rule in rules:
        result = _applied(result, rule)
    return result


def _applied(tensors: Mapping[str, Value], rule: Rename) -> dict[str, Value]:
    matched = False
    result: dict[str, Value] = {}
    origin: dict[str, str] = {}
    for name, value in tensors.items():
        new, hits = _substituted(name, rule)
        matched = matched or hits > 0
        if new is None:
            continue
        if new in origin:
            raise WeightsError(
                f"the rule {_described(rule)} gives {origin[new]} and {name} the same name, {new}"
            )
        origin[new] = name
        result[new] = value
    if not matched:
        names = ", ".join(list(tensors)[:SHOWN]) or "none"
        raise WeightsError(
            f"the rule {_described(rule)} matches no name, so these weights are laid out in "
            f"another way; their names begin with {names}"
        )
    return result


def _substituted(name: str, rule: Rename) -> tuple[str | None, int]:
    """The new name (None: drop it), and how often the rule matched."""
    try:
        if rule.to is None:
            dropped = re.search(rule.pattern, name) is not None
            return (None if dropped else name), int(dropped)
        return re.subn(rule.pattern, rule.to, name, count=1)
    except re.error as error:
        raise WeightsError(
            f"the rule {_described(rule)} is no regular expression: {error}"
        ) from error


def _described(rule: Rename) -> str:
    return f"{rule.pattern!r} -> {'dropped' if rule.to is None else repr(rule.to)}"
