"""Components as people write them, each right in its own way, pass every check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import (
    Augmentation,
    Backbone,
    Component,
    DatasetInfo,
    Decoder,
    FolderDataset,
    FolderDatasetConfig,
    Image,
    Mask,
    PluginRecord,
    Sample,
    Views,
)
from ssl_registry.registry import Found
from ssl_registry.testing import run_checks
from ssl_registry.testing.collect import checks_of_component

Failures = Callable[..., dict[str, str]]
METHODS = "right_methods"


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> Failures:
    """Give what fails, name to problem, of a method of `right_methods.py`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def run(method: str, config: str = "") -> dict[str, str]:
        target = f"{METHODS}:{config}" if config else ""
        component = Component("method", "made_up", f"{METHODS}:{method}", target)
        plugin = PluginRecord("made_up", METHODS, "made-up", "1.0", "ok", components=(component,))
        results = run_checks(checks_of_component(Found(component, plugin)))
        return {result.check.name: result.problem for result in results if not result.passed}

    return run


@pytest.mark.parametrize("method", ["Byol", "Dropout", "Queue", "VicReg", "MaskedPixels"])
def test_right_methods(problems: Failures, method: str) -> None:
    assert problems(method) == {}


def test_a_method_that_needs_a_backbone_of_its_kind_names_one(problems: Failures) -> None:
    assert problems("MaskedTokens", "TokensConfig") == {}
    found = problems("MaskedTokens")
    # The method cannot be built on the kit's own network: that is said once, with the way out.
    assert len(set(found.values())) == 1
    assert "check_backbone" in found["loss"]


class FolderConfig(FolderDatasetConfig):
    """Where the pictures lie."""

    name: str = "made_up"


class Colour(FolderDataset):
    """Colour pictures with masks of two classes that overlap."""

    info = DatasetInfo(
        organ="skin",
        modality="dermoscopy",
        licence="CC0-1.0",
        citation="Made up.",
        source="generated",
        channels=3,
        classes=("lesion", "ruler"),
        exclusive=False,
    )

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> FolderConfig:
        generator = np.random.default_rng(seed)
        for number in range(10):
            pixels = generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            PillowImage.fromarray(pixels).save(root / f"{number}.png")
        return FolderConfig(root=root, split={"group_by": "duplicates"})

    def samples(self) -> Sequence[Sample]:
        found = sorted(self.root.glob("*.png"))
        if not found:
            raise self.missing(f"{self.root} holds no png files")
        return [Sample(path.name, has_mask=True, files=(path,)) for path in found]

    def read_image(self, sample: Sample) -> Image:
        return np.asarray(PillowImage.open(sample.files[0]))

    def read_mask(self, sample: Sample) -> Mask | None:
        planes = np.zeros((2, 6, 8), np.uint8)
        planes[0, 1:4], planes[1, 2:5] = 1, 1
        return planes


class VideoConfig(FolderDatasetConfig):
    """Where the videos lie; of recordings that show the same, one part has all."""

    name: str = "made_up"


class Videos(FolderDataset):
    """Every second frame of each recording, without masks."""

    info = DatasetInfo("lung", "ultrasound", "CC0-1.0", "Made up.", "generated")

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> VideoConfig:
        generator = np.random.default_rng(seed)
        for number in range(10):
            frames = generator.integers(0, 256, (6, 8, 10), dtype=np.uint8)
            (root / f"v{number}.raw").write_bytes(frames.tobytes())
        return VideoConfig(root=root, split={"group_by": "group"})

    def samples(self) -> Sequence[Sample]:
        found = sorted(self.root.glob("*.raw"))
        if not found:
            raise self.missing(f"{self.root} holds no recordings")
        return [
            Sample(f"{path.stem}/{frame:04}", group=path.stem, files=(path,))
            for path in found
            for frame in range(0, 6, 2)
        ]

    def read_image(self, sample: Sample) -> Image:
        pixels = np.fromfile(sample.files[0], np.uint8).reshape(6, 8, 10)
        frame: Image = pixels[int(sample.id.rpartition("/")[2])]
        return frame


def test_right_datasets(failures: Failures) -> None:
    assert failures("dataset", Colour, FolderConfig) == {}
    assert failures("dataset", Videos, VideoConfig) == {}


class Pooling(Decoder):
    """Adds the mean of the coarsest map, normalised at 1x1 px, with attention over channels."""

    def __init__(self, config: object, channels: Sequence[int], reductions: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = 16
        self.pooled = nn.Sequential(nn.Conv2d(channels[-1], 16, 1), nn.BatchNorm2d(16))
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(8, level), nn.Conv2d(level, 16, 1)) for level in channels
        )
        self.gates = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(level, level // 8, 1), nn.SiLU(), nn.Conv2d(level // 8, level, 1)
            )
            for level in channels
        )

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        total: Tensor = self.pooled(F.adaptive_avg_pool2d(features[-1], 1))
        for lateral, gate, level in zip(self.laterals, self.gates, features, strict=True):
            shown = lateral(level * gate(F.adaptive_avg_pool2d(level, 1)).sigmoid())
            total = total + F.interpolate(shown, size=output_size, mode="bilinear")
        return total


class PatchStages(Backbone):
    """A stem of stride 4 and three halvings that round down, layer norm and stochastic depth."""

    minimum_size = 32

    def __init__(self, config: object, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels, self.reductions = (4, 6, 8, 10), (4, 8, 16, 32)
        sizes = zip((in_channels, *self.channels), self.channels, (4, 2, 2, 2), strict=False)
        self.down = nn.ModuleList(nn.Conv2d(a, b, k, stride=k) for a, b, k in sizes)
        self.norms = nn.ModuleList(nn.GroupNorm(1, count) for count in self.channels)
        self.blocks = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in self.channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        features, x = [], images
        for down, norm, block in zip(self.down, self.norms, self.blocks, strict=True):
            x = norm(down(x))
            kept = torch.rand(len(x), 1, 1, 1) < 0.8 if self.training else 1.0
            x = x + kept * block(x)
            features.append(x)
        return features


def test_right_networks(failures: Failures) -> None:
    assert failures("decoder", Pooling) == {}
    assert failures("backbone", PatchStages) == {}


class Resizing(Augmentation):
    def __init__(self, config: object, image_size: int, channels: int) -> None:
        super().__init__()
        self.size = (image_size, image_size)

    def flipped(self, images: Tensor) -> Tensor:
        turned = torch.rand(len(images), device=images.device) < 0.5
        return torch.where(turned[:, None, None, None], images.flip(3), images)


class PlainAndNoisy(Resizing):
    """Of each image, itself and a noisy copy."""

    def forward(self, images: Tensor) -> Views:
        plain = F.interpolate(images, self.size)
        return Views((plain, (plain + 0.1 * torch.randn_like(plain)).clamp(0, 1)))


class OnlyFlips(Resizing):
    """Two views that are turned half of the time, and so are equal half of the time."""

    def forward(self, images: Tensor) -> Views:
        plain = F.interpolate(images, self.size)
        return Views((self.flipped(plain), self.flipped(plain)))


class Rarely(Resizing):
    """One view that is turned a tenth of the time."""

    def forward(self, images: Tensor) -> Views:
        plain = F.interpolate(images, self.size)
        turned = torch.rand(len(images)) < 0.1
        return Views((torch.where(turned[:, None, None, None], plain.flip(3), plain),))


@pytest.mark.parametrize("augmentation", [PlainAndNoisy, OnlyFlips, Rarely])
def test_right_augmentations(failures: Failures, augmentation: type[Augmentation]) -> None:
    assert failures("augmentation", augmentation) == {}
