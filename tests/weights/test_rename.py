"""Ordered rename rules: each must match, and none may merge two names."""

from __future__ import annotations

import pytest

from ssl_registry.errors import WeightsError
from ssl_registry.weights.rename import Rename, prefixed, renamed


def test_rules_work_one_after_the_other_and_keep_the_order() -> None:
    names = ["module.encoder_q.0.weight", "module.encoder_q.fc.bias", "queue"]
    rules = [
        Rename(r"^module\.", ""),
        Rename(r"^encoder_q\.", ""),
        Rename(r"^fc\.", None),
        Rename(r"^queue$", None),
        Rename(r"^(\d)\.", r"layer\1."),
    ]
    assert renamed({name: name for name in names}, rules) == {"layer0.weight": names[0]}


def test_a_prefix_is_put_before_every_name() -> None:
    assert renamed({"a": 1, "a.a": 2}, prefixed("encoder.")) == {"encoder.a": 1, "encoder.a.a": 2}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rename("^head", "fc"), "matches no name.*begin with a.x, a.y"),
        (Rename("^head", None), "'\\^head' -> dropped matches no name"),
        (Rename(r"a\.[xy]", "b"), r"gives a\.x and a\.y the same name, b"),
        (Rename("(", "b"), "is no regular expression"),
        (Rename("a", r"\3"), "is no regular expression"),
    ],
)
def test_a_rule_that_does_not_apply_is_an_error(rule: Rename, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        renamed({"a.x": 1, "a.y": 2}, [rule])


def test_a_name_in_the_way_of_a_renamed_one_is_an_error() -> None:
    with pytest.raises(WeightsError, match="the same name"):
        renamed({"b": 1, "a": 2}, [Rename("^a$", "b")])
