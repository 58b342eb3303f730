"""What is told of first weights, by the records that their cards hold."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.data.load import LoadedData
from ssl_registry.training.first_weights import trained_on_test_images
from ssl_registry.training.testing import load_labelled

OTHER_SPLIT = r"busi: .* before, with another split; give both the same `split`"
PART_TEST = r"busi: .* before, with its part test; set parts = \['train'\] there"

Record = dict[str, Any]


@pytest.fixture
def data(finetune_table: dict[str, Any]) -> LoadedData:
    return load_labelled(validate(FinetuneConfig, finetune_table, "test"))


def settings(data: LoadedData, **changes: Any) -> Record:
    return {**data.dataset.config.model_dump(mode="json"), **changes}


def facts(data: LoadedData, **changes: Any) -> Record:
    return {**data.describe(), **changes}


def pretrained(data: LoadedData, *parts: str, **of_data: Any) -> Record:
    """The record of a pre-training on `parts` of the same images."""
    config = {"data": [settings(data)], "parts": list(parts)}
    return {"config": config, "data": [facts(data, **of_data)]}


def test_with_the_same_split_only_the_part_test_counts(data: LoadedData) -> None:
    assert trained_on_test_images(pretrained(data, "train", "val"), data) == []
    (line,) = trained_on_test_images(pretrained(data, "train", "test"), data)
    assert re.match(PART_TEST, line)


def test_another_split_counts_whatever_the_parts(data: LoadedData) -> None:
    (line,) = trained_on_test_images(pretrained(data, "train", split="other"), data)
    assert re.match(OTHER_SPLIT, line)
    # The config of a fine-tuning has one set, and no parts.
    tuned = {"config": {"data": settings(data)}, "data": [facts(data, split="other")]}
    assert trained_on_test_images(tuned, data) == [line]
    assert trained_on_test_images({**tuned, "data": [facts(data)]}, data) == []


@pytest.mark.parametrize(
    "change", [{"root": "elsewhere"}, {"weight": 2.0}, {"split": {}}, {"skip_unreadable": True}]
)
def test_images_are_the_same_wherever_they_lie(change: Record, data: LoadedData) -> None:
    origin = pretrained(data, "train", split="other")
    origin["config"]["data"] = [settings(data, **change)]
    assert len(trained_on_test_images(origin, data)) == 1


def test_other_images_are_not_told_of(data: LoadedData) -> None:
    origin = pretrained(data, "train", "test", split="other")
    for change in ({"name": "bus_bra"}, {"a_setting_of_the_images": 1}):
        others = {"data": [settings(data, **change)], "parts": ["train", "test"]}
        assert trained_on_test_images({**origin, "config": others}, data) == []
    more = facts(data, split="other", images={"train": 28, "val": 4, "test": 9})
    assert trained_on_test_images({**origin, "data": [more]}, data) == []


def test_each_set_of_a_pretraining_is_looked_at(data: LoadedData) -> None:
    origin = pretrained(data, "train", split="other")
    origin["config"]["data"].insert(0, {"name": "phantom"})
    origin["data"].insert(0, {"name": "phantom", "images": {"train": 28}, "split": "phantom's"})
    (line,) = trained_on_test_images(origin, data)
    assert re.match(OTHER_SPLIT, line)


def test_the_trainings_before_count_as_well_and_each_finding_is_told_once(
    data: LoadedData,
) -> None:
    first = pretrained(data, "train", "test")
    second = {**pretrained(data, "train"), "pretraining": first}
    (line,) = trained_on_test_images(second, data)
    assert re.match(PART_TEST, line)
    third = {**pretrained(data, "train", "test"), "pretraining": second}
    assert trained_on_test_images(third, data) == [line]
    fourth = {**pretrained(data, "train", split="other"), "pretraining": third}
    found = trained_on_test_images(fourth, data)
    assert len(found) == 2 and re.match(OTHER_SPLIT, found[0]) and found[1] == line


def test_weights_of_unknown_origin_are_not_told_of(data: LoadedData) -> None:
    assert trained_on_test_images({}, data) == []
    assert trained_on_test_images({"source": "timm", "pretraining": {}}, data) == []
