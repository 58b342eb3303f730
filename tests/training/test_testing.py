"""Testing a network: what decides the per-image table."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.training.device import choose_execution
from ssl_registry.training.finetune import build_finetuning
from ssl_registry.training.testing import load_labelled, masked_places, predictor_of, score


@pytest.mark.parametrize(("threshold", "nothing"), [(0.5, False), (0.7, True)])
def test_the_threshold_of_the_config_decides(
    threshold: float, nothing: bool, finetune_table: dict[str, Any]
) -> None:
    config = validate(FinetuneConfig, finetune_table | {"threshold": threshold}, "test")
    data = load_labelled(config)
    network = build_finetuning(config, data, steps=1).predictor
    assert network.head.bias is not None
    with torch.no_grad():  # a probability of 0.6 everywhere
        network.head.weight.zero_()
        network.head.bias.fill_(math.log(0.6 / 0.4))
    predictor = predictor_of(network, data, config, choose_execution(config.training))
    table = score(predictor, data, masked_places(data, "test"), config)
    assert set(table["size"]) == {"training", "native"}
    assert (table["empty_prediction"] == nothing).all()
