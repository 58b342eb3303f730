"""Heads, trunk and segmentation network."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ssl_registry import Backbone, Decoder, SegmentationNetwork, Trunk
from ssl_registry.nn import mlp, output_count


class Halves(Backbone):
    """Two levels: the image, and its 2x2 means, four times over."""

    in_channels, channels, reductions = 1, (1, 4), (1, 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        coarse = nn.functional.avg_pool2d(images, 2)
        return [images, coarse.repeat(1, 4, 1, 1)]


class Finest(Decoder):
    """The finest level, as two channels: the image and its negative."""

    out_channels = 2

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        assert tuple(features[0].shape[-2:]) == output_size
        return torch.cat([features[0], -features[0]], dim=1)


def test_an_encoder_embeds_the_mean_of_its_last_level() -> None:
    images = torch.rand(3, 1, 6, 8)
    trunk = Trunk(Halves())
    assert trunk.embed_dim == 4
    expected = images.mean(dim=(1, 2, 3))[:, None].expand(3, 4)
    torch.testing.assert_close(trunk.embed(images), expected)
    assert trunk(images).shape == (3, 4, 3, 4)


def test_with_a_decoder_the_embedding_is_the_mean_of_its_map() -> None:
    images = torch.rand(3, 1, 6, 8)
    trunk = Trunk(Halves(), Finest())
    assert trunk.embed_dim == 2
    mean = images.mean(dim=(1, 2, 3))
    torch.testing.assert_close(trunk.embed(images), torch.stack([mean, -mean], dim=1))


def test_the_segmentation_network_is_linear_in_the_decoders_map() -> None:
    network = SegmentationNetwork(Halves(), Finest(), outputs=1)
    nn.init.constant_(network.head.weight, 2.0)
    nn.init.constant_(network.head.bias, 5.0)
    images = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(network(images), torch.full_like(images, 5.0))


@pytest.mark.parametrize(
    ("classes", "exclusive", "outputs"),
    [(1, True, 1), (1, False, 1), (3, False, 3), (2, True, 3), (3, True, 4), (0, True, 0)],
)
def test_output_count(classes: int, exclusive: bool, outputs: int) -> None:
    assert output_count(classes, exclusive) == outputs


def test_a_plain_head_is_linear_relu_linear() -> None:
    head = mlp([3, 5, 2])
    x = torch.randn(4, 3)
    first, last = head[0], head[2]
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(head(x), hidden @ last.weight.T + last.bias)  # type: ignore[union-attr, operator]


def test_one_layer_is_linear() -> None:
    assert [type(layer) for layer in mlp([3, 2])] == [nn.Linear]


def test_norms_replace_biases_and_the_last_shift_can_be_left_out() -> None:
    head = mlp([3, 5, 2], batch_norm=True, last_batch_norm=True, last_shift=False)
    kinds = [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    assert [type(layer) for layer in head] == kinds
    assert all(layer.bias is None for layer in head if isinstance(layer, nn.Linear))
    trained = {name for name, parameter in head.named_parameters() if parameter.requires_grad}
    assert trained == {"0.weight", "1.weight", "1.bias", "3.weight", "4.weight"}
    z = head(torch.randn(64, 3))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(2), atol=1e-5, rtol=0)
