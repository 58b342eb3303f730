"""The networks of the U-Net family: published sizes, any image, any pyramid, weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ssl_registry import Backbone, ConfigError, Decoder, SegmentationNetwork, create

NARROW = {"widths": (4, 6, 8, 10, 12)}
STEPS = {"widths": (10, 8, 6, 4, 4)}
SIZES = [(32, 32), (50, 50), (64, 64), (97, 65), (256, 256)]


@dataclass(frozen=True)
class Net:
    """A published pair, with narrow settings for speed."""

    backbone: str
    decoder: str
    narrow_backbone: dict[str, Any] = field(default_factory=lambda: NARROW)
    narrow_decoder: dict[str, Any] = field(default_factory=lambda: STEPS)


NETS = {
    "unet": Net("unet_encoder", "unet"),
    "smp_unet": Net("unet_encoder", "smp_unet"),
    "unetplusplus": Net("unet_encoder", "unetplusplus", narrow_decoder={}),
    "attention_unet": Net("unet_encoder", "attention_unet"),
    "unet3plus": Net("unet_encoder", "unet3plus", narrow_decoder={"width": 4}),
    "residual_unet": Net("residual_encoder", "residual_unet"),
    "r2unet": Net("r2_encoder", "r2unet"),
    "multiresunet": Net("multires_encoder", "multiresunet"),
    "sk_unet": Net("sk_encoder", "sk_unet"),
    "unext": Net(
        "unext_encoder",
        "unext",
        {"conv_widths": (4, 6, 8), "token_widths": (10, 12)},
        {},
    ),
}
BACKBONES = {net.backbone: net.narrow_backbone for net in NETS.values()} | {"resnet18": {}}
net_names = pytest.mark.parametrize("name", NETS)


def decoder_over(backbone: Backbone, name: str, **settings: Any) -> Decoder:
    built: Decoder = create(
        "decoder",
        name,
        channels=backbone.channels,
        reductions=backbone.reductions,
        **settings,
    )
    return built


def narrow(name: str, in_channels: int = 1, seed: int = 0) -> SegmentationNetwork:
    torch.manual_seed(seed)
    net = NETS[name]
    backbone = create("backbone", net.backbone, in_channels=in_channels, **net.narrow_backbone)
    return SegmentationNetwork(
        backbone, decoder_over(backbone, net.decoder, **net.narrow_decoder), 1
    )


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "backbone_settings", "decoder_settings", "expected"),
    [
        ("unetplusplus", {"widths": (32, 64, 128, 256, 512)}, {}, (9_162_753, 9_163_329)),
        ("unetplusplus", {}, {}, (36_628_481, 36_629_633)),
        ("attention_unet", {}, {}, (34_877_421, 34_878_573)),
        # A 3x3 head over 320 channels in the reference network, a 1x1 one here.
        ("unet3plus", {}, {}, (26_970_625 - 8 * 320, 26_971_777 - 8 * 320)),
        ("residual_unet", {}, {}, (25_969_628 + 45_014, 25_971_932 + 45_014)),
        ("r2unet", {}, {}, (39_091_265, 39_091_393)),
        # Batch normalisation of the logits in the reference network, none here.
        ("multiresunet", {}, {}, (8_920_115 - 2, 8_920_361 - 2)),
        ("sk_unet", {}, {}, (3_934_977, 3_935_553)),
        (
            "sk_unet",
            {"widths": (32, 64, 128, 256, 512)},
            {"widths": (256, 128, 64, 32)},
            (15_713_793, 15_714_945),
        ),
        ("unext", {}, {}, (1_471_921 - 2 * 16 * 9, 1_471_921)),
    ],
)
def test_the_published_pair_has_its_number_of_parameters(
    name: str,
    backbone_settings: dict[str, Any],
    decoder_settings: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    for in_channels, parameters in zip((1, 3), expected, strict=True):
        with torch.device("meta"):
            backbone = create(
                "backbone", NETS[name].backbone, in_channels=in_channels, **backbone_settings
            )
            decoder = decoder_over(backbone, NETS[name].decoder, **decoder_settings)
            network = SegmentationNetwork(backbone, decoder, 1)
        assert count(network) == parameters


@pytest.mark.parametrize(("in_channels", "expected"), [(1, 25_969_628), (3, 25_971_932)])
def test_the_residual_unet_that_ends_in_its_classes_is_the_published_one(
    in_channels: int, expected: int
) -> None:
    with torch.device("meta"):
        backbone = create("backbone", "residual_encoder", in_channels=in_channels)
        decoder = decoder_over(backbone, "residual_unet", widths=(256, 128, 64, 1))
    assert count(backbone, decoder) == expected


@net_names
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_comes_back_at_its_size(
    name: str, size: tuple[int, int], in_channels: int
) -> None:
    network = narrow(name, in_channels).train()
    with torch.no_grad():
        logits = network(torch.rand(2, in_channels, *size))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()


@net_names
def test_the_smallest_size_trains_with_two_images(name: str) -> None:
    network = narrow(name).train()
    side = network.backbone.minimum_size
    loss = network(torch.rand(2, 1, side, side)).square().mean()
    loss.backward()
    assert torch.isfinite(loss)


@net_names
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = narrow(name, 3).train()
    network(torch.rand(2, 3, 50, 50)).square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        if parameter.ndim > 1:
            assert parameter.grad.abs().max() > 0, key


@functools.cache
def pyramid(name: str, size: tuple[int, int]) -> tuple[Backbone, list[Tensor]]:
    torch.manual_seed(0)
    backbone: Backbone = create("backbone", name, in_channels=1, **BACKBONES[name])
    with torch.no_grad():
        return backbone, backbone.train()(torch.rand(2, 1, *size))


def settings_over(name: str, backbone: Backbone) -> dict[str, Any]:
    if name == "unetplusplus":
        return {"widths": (4, 6, 8, 10)[: len(backbone.channels) - 1]}
    return NETS[name].narrow_decoder


@pytest.mark.parametrize("backbone", BACKBONES)
@net_names
def test_every_decoder_works_on_every_backbone(name: str, backbone: str) -> None:
    for size in ((32, 32), (50, 50), (97, 65)):
        built, features = pyramid(backbone, size)
        decoder = decoder_over(built, NETS[name].decoder, **settings_over(name, built)).train()
        leaves = [feature.clone().requires_grad_() for feature in features]
        dense = decoder(leaves, size)
        assert dense.shape == (2, decoder.out_channels, *size)
        dense.square().sum().backward()
        assert all(parameter.grad is not None for parameter in decoder.parameters())
        assert all(leaf.grad is not None for leaf in leaves)


@pytest.mark.parametrize("name", [name for name in NETS if NETS[name].narrow_decoder == STEPS])
def test_too_few_widths_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"widths has 2 entries.*reduction 32.*5 steps"):
        create(
            "decoder",
            NETS[name].decoder,
            channels=(8, 8, 8, 8, 8),
            reductions=(2, 4, 8, 16, 32),
            widths=(8, 4),
        )


@net_names
def test_mixed_precision_gives_finite_gradients(name: str) -> None:
    network = narrow(name).train()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.rand(2, 1, 50, 50))
    logits.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def discs(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Dark noisy images with a brighter disc each, and its masks."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(count, 2, 1, 1, generator=generator) * side / 2 + side / 4
    axis = torch.arange(side).float()
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    distance = ((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2).sqrt()
    masks = (distance < side / 5).float()[:, None]
    return masks + torch.randn(count, 1, side, side, generator=generator) * 0.7, masks


@net_names
def test_a_narrow_network_learns_to_find_discs(name: str) -> None:
    """Evaluated with running statistics, which a norm used wrongly would spoil."""
    images, masks = discs(12, 32)
    network = narrow(name).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        loss: Any = nn.functional.binary_cross_entropy_with_logits(network(images[:8]), masks[:8])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits = network.eval()(images[8:])
    # As many pixels as the masks have: a short training does not calibrate the threshold.
    area = int(masks[8:].sum())
    found = logits >= logits.flatten().topk(area).values[-1]
    share = float((found * masks[8:]).sum() / area)
    assert share > 0.75, f"{share:.0%} of the most likely pixels of unseen images are right"
