"""Each check of a backbone and of a decoder catches the network that is wrong in just that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import Backbone, Decoder

Failures = Callable[..., dict[str, str]]


class RightBackbone(Backbone):
    """Two convolutions of stride 2."""

    minimum_size = 8
    norm = nn.BatchNorm2d

    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.channels, self.reductions = in_channels, (3, 5), (2, 4)
        self.first = nn.Conv2d(in_channels, 3, 3, stride=2, padding=1)
        self.second = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.normed = self.norm(5)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.first(images)
        return [fine, self.normed(self.second(fine.relu()))]


class EqualReductions(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.reductions = (2, 2)


class GrayOnly(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, 1)


class OtherChannels(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.channels = (3, 6)


class OtherReductions(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.reductions = (2, 8)


class EvenOnly(RightBackbone):
    def forward(self, images: Tensor) -> list[Tensor]:
        blocks = F.pixel_unshuffle(images, 2)[:, : self.in_channels]
        return [
            self.first(F.pixel_shuffle(blocks.repeat(1, 4, 1, 1), 2)),
            *super().forward(images)[1:],
        ]


class TooSmall(RightBackbone):
    def forward(self, images: Tensor) -> list[Tensor]:
        return super().forward(images[..., 4:, 4:] if images.shape[-1] < 16 else images)


class UnusedLayer(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.classifier = nn.Linear(5, 2)


class HiddenState(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.scale = float(torch.rand(()))

    def forward(self, images: Tensor) -> list[Tensor]:
        return super().forward(images * self.scale)


class ExportsAPart(RightBackbone):
    """A gain that begins at one lies outside of what is exported."""

    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.stages = nn.ModuleList([self.first, self.second, self.normed])
        self.gain = nn.Parameter(torch.ones(5, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        fine, coarse = super().forward(images)
        return [fine, self.gain * coarse]

    def exported(self) -> nn.Module:
        return self.stages


class BatchStatistics(RightBackbone):
    def forward(self, images: Tensor) -> list[Tensor]:
        return super().forward(images - images.mean(dim=0))


class CountsForwards(RightBackbone):
    count: Tensor

    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, images: Tensor) -> list[Tensor]:
        self.count = self.count + 1
        return super().forward(images)


class OwnGenerator(RightBackbone):
    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__(config, in_channels)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.first.weight, generator=generator)


class RightDecoder(Decoder):
    """All maps brought to the size, added."""

    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = 4
        self.steps = nn.ModuleList(nn.Conv2d(count, 4, 1) for count in channels)
        self.normed = nn.BatchNorm2d(4)

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        maps = [step(f) for step, f in zip(self.steps, features, strict=True)]
        total = torch.stack([F.interpolate(each, size=output_size) for each in maps]).sum(dim=0)
        normed: Tensor = self.normed(total)
        return normed


class KeepsTheFinestSize(RightDecoder):
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        return super().forward(features, (features[0].shape[-2], features[0].shape[-1]))


class DoublesOnly(RightDecoder):
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        even = (output_size[0] // 2 * 2, output_size[1] // 2 * 2)
        return super().forward(features, even)


class SkipsALevel(RightDecoder):
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        return super().forward([features[0].detach(), *features[1:]], output_size)


class UnusedStep(RightDecoder):
    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__(config, channels, reductions)
        self.unused = nn.Conv2d(4, 4, 1)


class OtherOutput(RightDecoder):
    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__(config, channels, reductions)
        self.out_channels = 6


class HiddenScale(RightDecoder):
    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__(config, channels, reductions)
        self.scale = float(torch.rand(()))

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        return self.scale * super().forward(features, output_size)


class CentresTheBatch(RightDecoder):
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        dense = super().forward(features, output_size)
        return dense - dense.mean(dim=0)


class CountsMaps(RightDecoder):
    count: Tensor

    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__(config, channels, reductions)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        self.count = self.count + 1
        return super().forward(features, output_size)


def test_right_networks_pass(failures: Failures) -> None:
    assert failures("backbone", RightBackbone) == {}
    assert failures("decoder", RightDecoder) == {}


@pytest.mark.parametrize(
    ("kind", "network", "check", "told"),
    [
        ("backbone", EqualReductions, "declaration", "(2, 2) do not rise"),
        ("backbone", GrayOnly, "declaration", "in_channels is 1 when built for 3"),
        ("backbone", OtherChannels, "odd_sizes", "[3, 5] channels, declared are [3, 6]"),
        ("backbone", OtherReductions, "odd_sizes", "the map of reduction 8 is 9x11"),
        ("backbone", EvenOnly, "odd_sizes", "RuntimeError"),
        ("backbone", TooSmall, "smallest_size", "the map of reduction 2 is 2x2"),
        ("backbone", UnusedLayer, "gradients", "classifier.weight"),
        ("backbone", HiddenState, "save_and_load", "the maps are others"),
        ("backbone", ExportsAPart, "save_and_load", "the maps are others"),
        ("backbone", BatchStatistics, "evaluation", "depend on the others"),
        ("backbone", CountsForwards, "evaluation", "eval mode changes count"),
        ("backbone", OwnGenerator, "same_seed", "first.weight"),
        ("decoder", KeepsTheFinestSize, "output_size", "[2, 4, 16, 24]"),
        ("decoder", DoublesOnly, "odd_sizes", "[2, 4, 32, 42]"),
        ("decoder", SkipsALevel, "gradients", "the maps of reduction 1"),
        ("decoder", UnusedStep, "gradients", "unused.weight"),
        ("decoder", OtherOutput, "output_size", "out_channels"),
        ("decoder", OtherOutput, "classes", "RuntimeError"),
        ("decoder", HiddenScale, "save_and_load", "its map is another"),
        ("decoder", CentresTheBatch, "evaluation", "depends on the others"),
        ("decoder", CountsMaps, "evaluation", "eval mode changes count"),
    ],
)
def test_a_wrong_network_is_caught(
    failures: Failures, kind: str, network: type[nn.Module], check: str, told: str
) -> None:
    found = failures(kind, network)
    assert check in found
    assert told in found[check]
