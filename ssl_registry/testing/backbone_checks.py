"""What a backbone is held to."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, listed, require
from ssl_registry.testing.subject import Subject
from ssl_registry.testing.tensors import (
    changed,
    require_gradients,
    restore,
    saved,
    state_of,
)

_USUAL_SIZE = 32
_NOISE = 0.02


class BackboneBench(Subject):
    """A backbone under check."""

    def build(self, in_channels: int = 1, seed: int = 0) -> Backbone:
        """The backbone with weights drawn from `seed`."""
        torch.manual_seed(seed)
        backbone: Backbone = self.factory()(config=self.config(), in_channels=in_channels)
        return backbone.train()

    def shared(self, in_channels: int = 1) -> Backbone:
        """A backbone in training mode that earlier checks may have used, without gradients."""
        backbone = _shared(self, in_channels).train()
        backbone.zero_grad(set_to_none=True)
        return backbone


@functools.lru_cache(maxsize=2)  # large ones must not pile up
def _shared(bench: BackboneBench, in_channels: int) -> Backbone:
    return bench.build(in_channels)


def subject(found: Found) -> BackboneBench:
    """What the rules below take."""
    return BackboneBench(found)


def _images(backbone: Backbone, size: tuple[int, int], count: int = 2) -> Tensor:
    torch.manual_seed(7)
    return torch.randn(count, backbone.in_channels, *size)


def _odd_size(backbone: Backbone) -> tuple[int, int]:
    """A size that no reduction divides, a little above the smallest one."""
    least = max(backbone.minimum_size, _USUAL_SIZE)
    return least + 1, least + 11


def _declaration(bench: BackboneBench) -> None:
    for in_channels in (1, 3):
        backbone = bench.shared(in_channels)
        require(isinstance(backbone, Backbone), f"its factory gives a {type(backbone).__name__}")
        declared, reductions = tuple(backbone.channels), tuple(backbone.reductions)
        require(
            len(declared) == len(reductions) > 0,
            f"channels = {declared} and reductions = {reductions} are not equally many",
        )
        ordered = list(reductions) == sorted(set(reductions)) and reductions[0] >= 1
        require(ordered, f"reductions = {reductions} do not rise from level to level")
        require(
            backbone.in_channels == in_channels,
            f"in_channels is {backbone.in_channels} when built for {in_channels}",
        )


def _require_pyramid(backbone: Backbone, size: tuple[int, int]) -> None:
    with torch.no_grad():
        features = backbone(_images(backbone, size))
    where = f"for images of {size[0]}x{size[1]} px with {backbone.in_channels} channels"
    counts = [feature.shape[1] for feature in features]
    require(
        counts == list(backbone.channels),
        f"{where} the maps have {counts} channels, declared are {list(backbone.channels)}",
    )
    for feature, reduction in zip(features, backbone.reductions, strict=True):
        sides = tuple(feature.shape[-2:])
        # Levels round down or up, some networks do both in turn.
        fits = all(
            full // reduction <= side <= -(-full // reduction)
            for side, full in zip(sides, size, strict=True)
        )
        require(fits, f"{where} the map of reduction {reduction} is {sides[0]}x{sides[1]}")
        require(bool(feature.isfinite().all()), f"{where} a map is not finite")


def _odd_sizes(bench: BackboneBench) -> None:
    for in_channels in (1, 3):
        backbone = bench.shared(in_channels)
        _require_pyramid(backbone, _odd_size(backbone))


def _smallest(bench: BackboneBench) -> None:
    backbone = bench.shared()
    side = backbone.minimum_size
    _require_pyramid(backbone, (side, side))


def _gradients(bench: BackboneBench) -> None:
    backbone = bench.shared()
    features = backbone(_images(backbone, _odd_size(backbone)))
    sum(feature.float().square().mean() for feature in features).backward()
    require_gradients(backbone)


def _save_and_load(bench: BackboneBench) -> None:
    trained, loaded = bench.build(), bench.build(seed=1)
    images = _images(trained, _odd_size(trained))
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:  # as training leaves none at its initial value
                parameter.add_(_NOISE * torch.randn_like(parameter))
        trained(images)  # moves running statistics
        restore(loaded.exported(), saved(trained.exported()))
        pairs = zip(trained.eval()(images), loaded.eval()(images), strict=True)
        same = all(torch.equal(first, second) for first, second in pairs)
    require(same, "after saving and loading exported(), the maps are others")


def _evaluation(bench: BackboneBench) -> None:
    backbone = bench.shared()
    images = _images(backbone, _odd_size(backbone))
    with torch.no_grad():
        backbone(images)
        backbone.eval()
        before = state_of(backbone)
        together = backbone(images)
        alone = backbone(images[:1])
    moved = changed(before, state_of(backbone))
    require(not moved, f"a forward in eval mode changes {listed(moved)}")
    for whole, single in zip(together, alone, strict=True):
        near = torch.allclose(whole[:1], single, rtol=1e-3, atol=1e-4)
        require(near, "in eval mode the maps of an image depend on the others of its batch")


def _same_seed(bench: BackboneBench) -> None:
    moved = changed(bench.build().state_dict(), bench.build().state_dict())
    require(not moved, f"the same seed gives other weights in {listed(moved)}")


RULES: tuple[Rule[BackboneBench], ...] = (
    Rule(
        "declaration",
        "It declares in_channels, and channels and reductions that belong together.",
        "Set in_channels, channels and reductions in __init__, finest level first.",
        _declaration,
    ),
    Rule(
        "odd_sizes",
        "Channels and reductions hold at sizes that no reduction divides, for 1 and 3 channels.",
        "Correct `channels` and `reductions`, or pad inside the backbone and crop the maps.",
        _odd_sizes,
    ),
    Rule(
        "smallest_size",
        "Images of minimum_size px work in training, two to a batch.",
        "Raise `minimum_size` to what works: normalisation needs more than one value a channel.",
        _smallest,
    ),
    Rule(
        "gradients",
        "Every trained parameter gets a finite gradient from the maps.",
        "Set requires_grad_(False) on what no map depends on, or leave it out.",
        _gradients,
    ),
    Rule(
        "save_and_load",
        "exported() holds all weights and statistics: loaded anew, the maps are the same.",
        "Keep what the forward needs in parameters or buffers of the module that exported() gives.",
        _save_and_load,
    ),
    Rule(
        "evaluation",
        "In eval mode a forward changes no state and treats each image alone.",
        "Use statistics of the batch only `if self.training`.",
        _evaluation,
    ),
    Rule(
        "same_seed",
        "The same seed gives the same weights.",
        "Draw initial weights from torch's global generator.",
        _same_seed,
    ),
)
