"""What a decoder is held to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_registry.interfaces.decoder import Decoder
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, listed, require
from ssl_registry.testing.networks import TinyBackbone
from ssl_registry.testing.subject import Subject
from ssl_registry.testing.tensors import changed, require_gradients, restore, saved, state_of

PYRAMIDS: tuple[tuple[int, ...], ...] = ((1, 2, 4), (2, 4, 8), (4, 8, 16, 32), (4, 16), (14,))
"""Reductions of usual backbones: U-Nets, ResNets, pyramids with gaps, vision transformers."""
ODD, EVEN = (33, 43), (32, 48)


class DecoderBench(Subject):
    """A decoder under check."""

    def build(self, channels: Sequence[int], reductions: Sequence[int], seed: int = 0) -> Decoder:
        """The decoder over a pyramid, with weights drawn from `seed`."""
        torch.manual_seed(seed)
        decoder: Decoder = self.factory()(
            config=self.config(), channels=tuple(channels), reductions=tuple(reductions)
        )
        return decoder.train()

    def over(self, reductions: Sequence[int]) -> Decoder:
        """The decoder over a pyramid of narrow levels."""
        return self.build(_channels(reductions), reductions)


def subject(found: Found) -> DecoderBench:
    """What the rules below take."""
    return DecoderBench(found)


def _channels(reductions: Sequence[int]) -> tuple[int, ...]:
    # Multiples of 8, as everywhere: what groups or squeezes channels needs them.
    return tuple(8 * (level + 1) for level in range(len(reductions)))


def _features(reductions: Sequence[int], size: tuple[int, int]) -> list[Tensor]:
    """Maps whose sides round up, as those of strided convolutions do."""
    torch.manual_seed(7)
    return [
        torch.randn(2, channels, *(-(-side // reduction) for side in size))
        for channels, reduction in zip(_channels(reductions), reductions, strict=True)
    ]


def _require_size(bench: DecoderBench, reductions: Sequence[int], size: tuple[int, int]) -> None:
    decoder = bench.over(reductions)
    require(isinstance(decoder, Decoder), f"its factory gives a {type(decoder).__name__}")
    with torch.no_grad():
        dense = decoder(_features(reductions, size), size)
    wanted = [2, decoder.out_channels, *size]
    over = f"over reductions {tuple(reductions)}"
    given = list(dense.shape)
    require(given == wanted, f"{over} it gives {given}, out_channels and size say {wanted}")
    require(bool(dense.isfinite().all()), f"{over} its map is not finite")


def _output_size(bench: DecoderBench) -> None:
    for reductions in PYRAMIDS:
        _require_size(bench, reductions, EVEN)


def _odd_sizes(bench: DecoderBench) -> None:
    for reductions in PYRAMIDS:
        _require_size(bench, reductions, ODD)


def _gradients(bench: DecoderBench) -> None:
    reductions = PYRAMIDS[0]
    decoder = bench.over(reductions)
    features = [feature.requires_grad_() for feature in _features(reductions, ODD)]
    decoder(features, ODD).float().square().mean().backward()
    require_gradients(decoder)
    levels = [
        str(reduction)
        for feature, reduction in zip(features, reductions, strict=True)
        if feature.grad is None or not feature.grad.any()
    ]
    require(not levels, f"no gradient reaches the maps of reduction {', '.join(levels)}")


def _classes(bench: DecoderBench) -> None:
    for outputs in (1, 4):
        backbone = TinyBackbone(1)
        decoder = bench.build(backbone.channels, backbone.reductions)
        network = SegmentationNetwork(backbone, decoder, outputs)
        logits = network(torch.randn(2, 1, *ODD))
        given, wanted = list(logits.shape), [2, outputs, *ODD]
        require(given == wanted, f"with {outputs} classes the logits are {given}, not {wanted}")
        logits.square().mean().backward()
        require_gradients(network)


def _save_and_load(bench: DecoderBench) -> None:
    reductions = PYRAMIDS[0]
    channels = _channels(reductions)
    trained = bench.build(channels, reductions)
    loaded = bench.build(channels, reductions, seed=1)
    features = _features(reductions, EVEN)
    with torch.no_grad():
        trained(features, EVEN)  # moves running statistics
        restore(loaded, saved(trained))
        same = torch.equal(trained.eval()(features, EVEN), loaded.eval()(features, EVEN))
    require(same, "after saving and loading, its map is another")


def _evaluation(bench: DecoderBench) -> None:
    reductions = PYRAMIDS[0]
    decoder, features = bench.over(reductions), _features(reductions, EVEN)
    with torch.no_grad():
        decoder(features, EVEN)
        decoder.eval()
        before = state_of(decoder)
        together = decoder(features, EVEN)
        alone = decoder([feature[:1] for feature in features], EVEN)
    moved = changed(before, state_of(decoder))
    require(not moved, f"a forward in eval mode changes {listed(moved)}")
    near = torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4)
    require(near, "in eval mode the map of an image depends on the others of its batch")


RULES: tuple[Rule[DecoderBench], ...] = (
    Rule(
        "output_size",
        "Over every usual pyramid, its map has the size asked for and out_channels channels.",
        "Bridge gaps between reductions, and resize the last map to output_size.",
        _output_size,
    ),
    Rule(
        "odd_sizes",
        "So it does for images that no reduction divides.",
        "Resize to the skip's own size instead of by a factor of 2 "
        "(ssl_registry.nn.resize_to does).",
        _odd_sizes,
    ),
    Rule(
        "gradients",
        "A gradient reaches each of its parameters and every map of the encoder.",
        "Use all maps, and make no parameter that the forward leaves out.",
        _gradients,
    ),
    Rule(
        "classes",
        "As part of a segmentation network it serves 1 and 4 classes.",
        "Set `out_channels` to the channels of the map that forward gives.",
        _classes,
    ),
    Rule(
        "save_and_load",
        "Loaded anew, it gives the same map.",
        "Keep what the forward needs in parameters or buffers.",
        _save_and_load,
    ),
    Rule(
        "evaluation",
        "In eval mode a forward changes no state and treats each image alone.",
        "Use statistics of the batch only `if self.training`.",
        _evaluation,
    ),
)
