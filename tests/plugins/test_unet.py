"""The U-Net plugin: structure against the published one, any size, any pyramid."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import Backbone, ConfigError, Decoder, SegmentationNetwork, registry
from ssl_registry.nn import skip_levels

RESNET18 = ((64, 64, 128, 256, 512), (2, 4, 8, 16, 32))
RESNET50 = ((64, 256, 512, 1024, 2048), (2, 4, 8, 16, 32))


def encoder(in_channels: int = 1, **settings: Any) -> Backbone:
    config = registry.config_model("backbone", "unet_encoder")(**settings)
    built: Backbone = registry.factory("backbone", "unet_encoder")(config, in_channels)
    return built


def decoder(channels: tuple[int, ...], reductions: tuple[int, ...], **settings: Any) -> Decoder:
    config = registry.config_model("decoder", "unet")(**settings)
    built: Decoder = registry.factory("decoder", "unet")(config, channels, reductions)
    return built


def unet(in_channels: int = 1, widths: tuple[int, ...] | None = None, **settings: Any) -> nn.Module:
    """A U-Net; `widths` are the encoder's, which the decoder mirrors."""
    backbone = encoder(in_channels, **({"widths": widths} if widths else {}))
    if widths:
        settings["widths"] = widths[-2::-1]
    return SegmentationNetwork(
        backbone, decoder(backbone.channels, backbone.reductions, **settings), 1
    )


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("in_channels", "upsampling", "expected"),
    [
        (1, "transposed", 31_042_369),
        (3, "transposed", 31_043_521),
        (1, "nearest", 34_525_889),
        (3, "nearest", 34_527_041),
    ],
)
def test_the_unet_has_the_published_number_of_parameters(
    in_channels: int, upsampling: str, expected: int
) -> None:
    assert count(unet(in_channels, upsampling=upsampling)) == expected


def decoder_parameters_by_hand(channels: tuple[int, ...], widths: tuple[int, ...]) -> int:
    total, inputs = 0, channels[-1]
    for skip, width in zip([*channels[-2::-1], 0], widths, strict=True):
        total += 4 * inputs * width + width  # 2x2 transposed convolution
        total += 9 * (width + skip) * width + width + 2 * width  # 3x3 convolution, norm
        total += 9 * width * width + width + 2 * width
        inputs = width
    return total


@pytest.mark.parametrize("pyramid", [RESNET18, RESNET50], ids=["resnet18", "resnet50"])
def test_the_decoder_over_a_resnet_has_the_original_widths(
    pyramid: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    built = decoder(*pyramid)
    assert built.out_channels == 64
    assert count(built) == decoder_parameters_by_hand(pyramid[0], (512, 256, 128, 64, 64))


def reference_unet(state: dict[str, Tensor], images: Tensor, depth: int) -> Tensor:
    """The U-Net written as its figure, on plain tensors, for sizes that divide by 2**depth."""

    def conv_norm_relu(x: Tensor, name: str, index: int) -> Tensor:
        conv, norm = f"{name}.{index}", f"{name}.{index + 1}"
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), state[f"{conv}.weight"], state[f"{conv}.bias"])
        mean = x.mean(dim=(0, 2, 3), keepdim=True)
        variance = x.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
        scale, shift = (state[f"{norm}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias"))
        return torch.relu((x - mean) / torch.sqrt(variance + 1e-5) * scale + shift)

    def double(x: Tensor, name: str) -> Tensor:
        return conv_norm_relu(conv_norm_relu(x, name, 0), name, 3)

    contracting = [double(images, "backbone.levels.0")]
    for level in range(1, depth):
        pooled = contracting[-1].unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-1, -2))
        contracting.append(double(pooled, f"backbone.levels.{level}"))
    x = contracting.pop()
    for step in range(depth - 1):
        name = f"decoder.steps.{step}"
        kernel, bias = state[f"{name}.up.weight"], state[f"{name}.up.bias"]
        # Each input pixel becomes a 2x2 patch of the output.
        patches = torch.einsum("nihw,ioab->nohawb", x, kernel)
        n, o, h, _, w, _ = patches.shape
        x = patches.reshape(n, o, 2 * h, 2 * w) + bias.view(1, -1, 1, 1)
        x = double(torch.cat([contracting.pop(), x], dim=1), f"{name}.conv")
    return F.conv2d(x, state["head.weight"], state["head.bias"])


def test_the_unet_computes_what_its_figure_says() -> None:
    torch.manual_seed(0)
    network = unet(3, widths=(4, 8, 16, 32)).double().train()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.rand(2, 3, 32, 48, dtype=torch.float64)
    expected = reference_unet(dict(network.state_dict()), images, depth=4)
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (50, 50), (64, 64), (97, 65), (256, 256)], ids=str)
def test_any_size_comes_back_at_its_size(size: tuple[int, int], in_channels: int) -> None:
    network = unet(in_channels, widths=(2, 4, 6, 8, 10)).train()
    assert network(torch.rand(2, in_channels, *size)).shape == (2, 1, *size)


def pyramid_maps(
    channels: tuple[int, ...], reductions: tuple[int, ...], size: tuple[int, int]
) -> list[Tensor]:
    """Random maps whose sizes round up, as strided convolutions do."""
    return [
        torch.rand(2, c, *(-(-side // r) for side in size), requires_grad=True)
        for c, r in zip(channels, reductions, strict=True)
    ]


@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("size", [(32, 32), (50, 50), (97, 65)], ids=str)
@pytest.mark.parametrize(
    "reductions", [(2, 4, 8, 16, 32), (4, 8, 16, 32), (1, 2, 4, 8), (16,), (14,), (4, 16)], ids=str
)
def test_any_pyramid_is_decoded_and_gets_gradients(
    reductions: tuple[int, ...], size: tuple[int, int], upsampling: str
) -> None:
    channels = tuple(range(3, 3 + len(reductions)))
    built = decoder(channels, reductions, widths=(9, 8, 7, 6, 5), upsampling=upsampling)
    features = pyramid_maps(channels, reductions, size)
    dense = built(features, size)
    assert dense.shape == (2, built.out_channels, *size)
    dense.square().sum().backward()
    assert all(feature.grad is not None for feature in features)
    assert all(parameter.grad is not None for parameter in built.parameters())


def test_every_parameter_of_the_unet_gets_a_gradient() -> None:
    network = unet(1, widths=(4, 8, 16))
    network(torch.rand(2, 1, 50, 50)).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize(
    ("reductions", "expected"),
    [
        ([1, 2, 4, 8, 16], [3, 2, 1, 0]),
        ([2, 4, 8, 16, 32], [3, 2, 1, 0, None]),
        ([4, 8, 16, 32], [2, 1, 0, None, None]),
        ([4, 16], [None, 0, None, None]),
        ([16], [None] * 4),
        ([14], [None] * 4),
        ([1], []),
    ],
)
def test_steps_follow_the_reductions(reductions: list[int], expected: list[int | None]) -> None:
    assert skip_levels(reductions) == expected


def test_too_few_widths_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"widths has 2 entries.*reduction 32.*5 steps"):
        decoder(*RESNET18, widths=(8, 4))


def test_the_encoder_halves_and_rounds_down() -> None:
    backbone = encoder(3, widths=(2, 3, 4))
    assert (backbone.channels, backbone.reductions) == ((2, 3, 4), (1, 2, 4))
    sizes = [tuple(feature.shape[1:]) for feature in backbone(torch.rand(2, 3, 51, 34))]
    assert sizes == [(2, 51, 34), (3, 25, 17), (4, 12, 8)]


def test_the_smallest_size_trains_with_two_images() -> None:
    network = unet(1, widths=(2, 3, 4, 5, 6)).train()
    side = network.backbone.minimum_size  # type: ignore[union-attr]
    assert side == 16
    assert network(torch.rand(2, 1, side, side)).shape == (2, 1, side, side)
