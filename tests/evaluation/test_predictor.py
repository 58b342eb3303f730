"""Probabilities some images at a time: the same as at once, whichever images are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor, nn

from ssl_registry.config.training import TrainingConfig
from ssl_registry.evaluation import predictor as predictor_module
from ssl_registry.evaluation.predictor import Predictor
from ssl_registry.nn.normalization import Normalize
from ssl_registry.training.device import choose_execution


class Doubling(nn.Module):
    """Logits are twice the normalised pixels; notes how many images it saw, and its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append((len(images), self.training))
        if len(images) > 3:
            raise ValueError("too many")
        return 2 * images


def predictor_and_network() -> tuple[Predictor, Doubling]:
    network = Doubling()
    execution = choose_execution(TrainingConfig(epochs=1, device="cpu", precision="fp32"))
    made = Predictor(network, Normalize([0.5], [0.25]), 1, execution)  # type: ignore[arg-type]
    return made, network


def test_portions_hold_few_images_and_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_module, "BATCH", 2)
    predictor, network = predictor_and_network()
    images = np.random.default_rng(0).integers(0, 256, (9, 1, 4, 4)).astype(np.uint8)
    places = np.array([8, 0, 3, 3, 7])
    portions = list(predictor.portions(images, places))
    assert [part for part, _ in portions] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    expected = 1 / (1 + np.exp(-2 * (images[places] / 255 - 0.5) / 0.25))
    found = np.concatenate([probabilities for _, probabilities in portions])
    assert found == pytest.approx(expected, abs=1e-6)
    assert network.seen == [(2, False), (2, False), (1, False)]
    assert predictor.probabilities(images)[places] == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_in_the_mode_it_was_in(training: bool) -> None:
    predictor, network = predictor_and_network()
    network.train(training)
    stream = predictor.portions(np.zeros((3, 1, 4, 4), np.uint8), np.arange(3))
    next(stream)
    assert network.training == training
    with pytest.raises(ValueError, match="too many"):
        predictor.probabilities(np.zeros((4, 1, 4, 4), np.uint8))
    assert network.training == training
    assert all(not mode for _, mode in network.seen)
