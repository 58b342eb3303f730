"""`--set key=value` over a table."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ssl_registry.config.overrides import apply_overrides
from ssl_registry.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a = -3", -3),
        ("a=1e-3", 1e-3),
        ("a=true", True),
        ("a=text", "text"),
        ("a=two words", "two words"),
        ('a="1"', "1"),
        ("a=[1, 2]", [1, 2]),
        ('a={name = "x", n = 2}', {"name": "x", "n": 2}),
        ("a=../shared/data", "../shared/data"),
        ("a=x=y", "x=y"),
        ("a=1\nb = 2", "1\nb = 2"),
    ],
)
def test_values_are_toml_or_text(override: str, expected: object) -> None:
    assert apply_overrides({}, [override]) == {"a": expected}


def test_infinity_is_a_toml_number() -> None:
    assert math.isinf(apply_overrides({}, ["a=inf"])["a"])


def test_dotted_keys_reach_into_tables_and_lists() -> None:
    table = {"method": {"name": "m", "t": 1}, "data": [{"name": "a"}, {"name": "b"}]}
    result = apply_overrides(table, ["method.t=2", "data.1.root=/x", "training.epochs=3"])
    assert result == {
        "method": {"name": "m", "t": 2},
        "data": [{"name": "a"}, {"name": "b", "root": "/x"}],
        "training": {"epochs": 3},
    }


def test_the_table_is_left_as_it_was() -> None:
    table: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}}
    apply_overrides(table, ["a.b.1.c=3", "a.b.0=9", "a.d=4"])
    assert table == {"a": {"b": [1, {"c": 2}]}}


def test_a_bare_name_becomes_a_table_where_it_is_reached_into() -> None:
    table = {"backbone": "resnet18", "data": ["busi"]}
    assert apply_overrides(table, ["backbone.stem=cifar", "data.0.root=r"]) == {
        "backbone": {"name": "resnet18", "stem": "cifar"},
        "data": [{"name": "busi", "root": "r"}],
    }


def test_the_last_override_of_a_key_holds() -> None:
    assert apply_overrides({}, ["a=1", "a=2"]) == {"a": 2}


def test_without_a_value_the_key_is_removed() -> None:
    table = {"decoder": "unet", "data": ["a", "b"], "t": {"x": 1, "y": 2}}
    assert apply_overrides(table, ["decoder=", "data.0=", "t.x= ", "absent="]) == {
        "data": ["b"],
        "t": {"y": 2},
    }


def test_nothing_is_made_to_remove_something_from_it() -> None:
    assert apply_overrides({"a": 1}, ["decoder.width=", "training.optimizer.name="]) == {"a": 1}


def test_a_length_in_epochs_replaces_one_in_steps() -> None:
    table = {"training": {"steps": 9, "optimizer": {"warmup_steps": 3}}, "method": {"steps": 4}}
    assert apply_overrides(
        table, ["training.epochs=2", "training.optimizer.warmup_epochs=1", "method.epochs=5"]
    ) == {
        "training": {"epochs": 2, "optimizer": {"warmup_epochs": 1}},
        "method": {"steps": 4, "epochs": 5},
    }
    # The later one holds, and steps stand beside epochs as they do in a file.
    given = ["training.epochs=2", "training.steps=7"]
    assert apply_overrides({}, given) == {"training": {"epochs": 2, "steps": 7}}
    assert apply_overrides({}, given[::-1]) == {"training": {"epochs": 2}}


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("seed", "not of the form key=value"),
        ("=1", "not of the form key=value"),
        ("a..b=1", "not of the form key=value"),
        ("a.=1", "not of the form key=value"),
        ("seed.x=1", "'seed' is a value, not a table"),
        ("data.2.root=x", "'2' is no place in a list of 1"),
        ("data.x=1", "'x' is no place in a list of 1"),
        ("data.-1=1", "'-1' is no place in a list of 1"),
        ("data.4=", "'4' is no place in a list of 1"),
    ],
)
def test_mistakes_name_the_override(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"seed": 1, "data": [{"name": "a"}]}, [override])
    assert repr(override) in str(caught.value)
    assert complaint in str(caught.value)
