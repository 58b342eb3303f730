"""Every test that the page on correctness names exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "correctness.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@functools.cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    assert name.startswith("test_") and name in functions_of(file)


def test_every_row_has_a_test_or_a_reason() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    bodies = [
        row for row in rows if row.split(" | ")[-1].strip(" |") not in ("test", "test or reason")
    ]
    assert len(bodies) > 50
    for row in bodies:
        proof = row.split(" | ")[-1].rstrip(" |")
        assert "`tests/" in proof or proof.endswith("."), row
    # A path in backticks that the pattern above did not understand would be checked by nobody.
    assert PAGE.count("`tests/") == len(re.findall(r"`tests/[\w/]+\.py::\w+`", PAGE))
