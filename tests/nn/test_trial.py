"""Which batches a network's norms refuse, against forwards that really happen."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ssl_registry import SegmentationNetwork, create
from ssl_registry.nn.trial import refused_batch

CASES = [
    ("resnet18", "unet", 1, 32, True),
    ("resnet18", "unet", 1, 33, False),  # two pixels in the coarsest map: sizes round up
    ("resnet18", "unet", 1, 50, False),
    ("resnet18", "unet", 2, 32, False),
    ("residual_encoder", "residual_unet", 1, 17, False),
    ("unext_encoder", "residual_unet", 2, 16, True),  # one pixel for an instance norm
    ("sk_encoder", "sk_unet", 1, 64, True),
    ("sk_encoder", "sk_unet", 2, 32, False),
]


@pytest.mark.parametrize(("backbone", "decoder", "images", "side", "refused"), CASES)
def test_what_is_refused_fails_and_the_rest_does_not(
    backbone: str, decoder: str, images: int, side: int, refused: bool
) -> None:
    encoder = create("backbone", backbone, in_channels=1)
    network = SegmentationNetwork(
        encoder,
        create("decoder", decoder, channels=encoder.channels, reductions=encoder.reductions),
        1,
    ).eval()
    before = copy.deepcopy(network.state_dict())
    complaint = refused_batch(network, images, 1, side)
    assert bool(complaint) == refused
    assert not network.training
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())

    def real() -> None:
        with torch.no_grad():
            network.train()(torch.rand(images, 1, side, side))

    if refused:
        with pytest.raises(ValueError) as caught:
            real()
        assert str(caught.value).startswith("Expected more than 1")
    else:
        real()


class Looking(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images * float(images.max())


class Odd(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise ValueError("odd")


@pytest.mark.parametrize("network", [Looking(), Odd()])
def test_what_cannot_be_tried_is_left_to_the_first_step(network: nn.Module) -> None:
    assert refused_batch(network, 1, 1, 8) == ""
