"""The configs of runs: defaults that hold together, and what is filled in."""

from __future__ import annotations

from typing import Any

import pytest

from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import parse_toml, validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.training import FinetuningConfig, PretrainingConfig
from ssl_registry.errors import ConfigError
from ssl_registry.registry import resource

PRETRAIN: dict[str, Any] = {"method": "simclr", "backbone": "resnet18", "data": ["phantom"]}


def test_one_given_setting_leaves_the_other_defaults() -> None:
    given = FinetuningConfig.model_validate({"optimizer": {"learning_rate": 1e-3}}).optimizer
    default = FinetuningConfig().optimizer
    assert given == default.model_copy(update={"learning_rate": 1e-3})
    assert (default.final_learning_rate, default.weight_decay) == (1e-5, 1e-6)
    given = PretrainingConfig.model_validate({"optimizer": {"name": "sgd"}}).optimizer
    assert (given.warmup_epochs, given.learning_rate) == (10, 3e-4)


@pytest.mark.parametrize(
    ("method", "augmentation"),
    [("simclr", "simclr"), ("moco", "moco_v2"), ({"name": "simsiam"}, "simsiam")],
)
def test_the_augmentation_is_the_one_the_method_names(method: Any, augmentation: str) -> None:
    config = validate(PretrainConfig, {**PRETRAIN, "method": method}, "the test")
    assert config.augmentation is not None
    assert config.augmentation.name == augmentation
    again = PretrainConfig.model_validate(config.model_dump(mode="json"))
    assert again == config


def test_a_given_augmentation_stays() -> None:
    table = {**PRETRAIN, "augmentation": {"name": "moco_v2", "blur": 0.0}}
    config = validate(PretrainConfig, table, "the test")
    assert config.augmentation is not None
    assert config.augmentation.name == "moco_v2"


def test_a_wrong_method_is_told_once() -> None:
    with pytest.raises(ConfigError, match="did you mean 'simclr'") as caught:
        validate(PretrainConfig, {**PRETRAIN, "method": "simclir"}, "the test")
    assert str(caught.value).count("simclir") == 1


@pytest.mark.parametrize("seeds", [[0, 0], [-1], []])
def test_seeds_of_a_comparison(seeds: list[int]) -> None:
    finetune = {"backbone": "resnet18", "decoder": "unet", "data": "phantom"}
    table = {"title": "t", "pretrain": PRETRAIN, "finetune": finetune, "seeds": seeds}
    with pytest.raises(ConfigError, match="seeds"):
        validate(ComparisonConfig, table, "the test")


def test_the_quick_start_tests_on_images_it_has_not_seen() -> None:
    table = parse_toml(resource("experiment", "quickstart"), "quickstart")
    config = validate(ComparisonConfig, table, "quickstart")
    assert isinstance(config.finetune, FinetuneConfig)
    seeds = {getattr(data, "seed", None) for data in config.pretrain.data}
    # Another seed makes other images, so no test image was pre-trained on.
    assert getattr(config.finetune.data, "seed", None) not in seeds
