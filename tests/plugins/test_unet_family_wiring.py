"""How the decoders of U-Net++ and UNet 3+ join levels, against their papers' equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_registry import ConfigError, Decoder, create

CHANNELS, REDUCTIONS = (3, 4, 5, 6), (1, 2, 4, 8)
# Neither doublings nor halvings of each other.
SIZES = [(21, 14), (10, 7), (5, 4), (3, 2)]


def maps() -> list[Tensor]:
    torch.manual_seed(0)
    return [
        torch.randn(2, c, *size, dtype=torch.float64)
        for c, size in zip(CHANNELS, SIZES, strict=True)
    ]


def decoder(name: str, **settings: object) -> Any:
    torch.manual_seed(1)
    built: Decoder = create(
        "decoder", name, channels=CHANNELS, reductions=REDUCTIONS, **settings
    ).double()
    return built.train()


def weights(source: int, target: int, corners: bool) -> Tensor:
    """Linear interpolation along one axis as a matrix `[target, source]`."""
    matrix = torch.zeros(target, source, dtype=torch.float64)
    for row in range(target):
        if corners:
            position = row * (source - 1) / max(1, target - 1)
        else:
            position = max(0.0, (row + 0.5) * source / target - 0.5)
        low = min(int(position), source - 1)
        high = min(low + 1, source - 1)
        matrix[row, low] += 1 - (position - low)
        matrix[row, high] += position - low
    return matrix


def bilinear(x: Tensor, size: tuple[int, int], corners: bool) -> Tensor:
    rows = weights(x.shape[-2], size[0], corners)
    columns = weights(x.shape[-1], size[1], corners)
    return torch.einsum("nchw,Hh,Ww->ncHW", x, rows, columns)


@pytest.mark.parametrize("widths", [None, (2, 7, 3)])
def test_unetplusplus_follows_its_equation(widths: tuple[int, ...] | None) -> None:
    built = decoder("unetplusplus", **({"widths": widths} if widths else {}))
    features = maps()

    def node(i: int, j: int) -> Tensor:
        """Equation 1, as a recursion."""
        if j == 0:
            return features[i]
        row = [node(i, k) for k in range(j)]
        below = bilinear(node(i + 1, j - 1), SIZES[i], corners=True)
        result: Tensor = built.columns[j - 1][i](torch.cat([*row, below], dim=1))
        return result

    torch.testing.assert_close(built(features, SIZES[0]), node(0, 3), rtol=1e-9, atol=1e-9)


def test_unetplusplus_wants_a_width_for_each_level_but_the_coarsest() -> None:
    with pytest.raises(ConfigError, match=r"widths has 2 entries.*4 levels; give 3"):
        decoder("unetplusplus", widths=(4, 4))


def pooled(x: Tensor, kernel: int, size: tuple[int, int]) -> Tensor:
    """The largest value of each tile; tiles at the border may be smaller."""
    height, width = (-(-side // kernel) for side in x.shape[-2:])
    tiles = torch.stack(
        [
            torch.stack(
                [
                    x[..., i * kernel : (i + 1) * kernel, j * kernel : (j + 1) * kernel].amax(
                        dim=(-2, -1)
                    )
                    for j in range(width)
                ],
                dim=-1,
            )
            for i in range(height)
        ],
        dim=-2,
    )
    rows = [i * height // size[0] for i in range(size[0])]
    columns = [j * width // size[1] for j in range(size[1])]
    return tiles[..., rows, :][..., columns]


def test_unet3plus_follows_its_equation() -> None:
    built = decoder("unet3plus", width=2)
    features = maps()

    def level(i: int) -> Tensor:
        """Equation 1, as a recursion."""
        if i == 3:
            return features[3]
        scales = [pooled(features[k], 2 ** (i - k), SIZES[i]) for k in range(i)]
        scales += [features[i]]
        scales += [bilinear(level(k), SIZES[i], corners=False) for k in range(i + 1, 4)]
        block = built.levels[i]
        brought = [block.scales[k](x) for k, x in enumerate(scales)]
        result: Tensor = block.fuse(torch.cat(brought, dim=1))
        return result

    expected = bilinear(level(0), (42, 28), corners=False)
    torch.testing.assert_close(built(features, (42, 28)), expected, rtol=1e-9, atol=1e-9)
