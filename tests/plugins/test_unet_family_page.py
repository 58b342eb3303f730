"""The page about the networks says what the networks are."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import pytest
import torch
from torch import nn

from ssl_registry import Backbone, create

PAGE = Path(__file__).parents[2] / "docs/networks.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="needs the source tree")


def table(first_cell: str) -> list[list[str]]:
    """The rows of the table whose header starts with `first_cell`, the header included."""
    rows: list[list[str]] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"| {first_cell} |") or (rows and line.startswith("|")):
            rows.append([cell.strip(" `*") for cell in line.strip("|").split("|")])
        elif rows:
            break
    return [row for row in rows if set(row[0]) != {"-"}]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@functools.cache
def built(name: str) -> Backbone:
    """Without memory for its weights, except for timm's models, which cannot be built so."""
    with contextlib.nullcontext() if name.startswith("resnet") else torch.device("meta"):
        backbone: Backbone = create("backbone", name, in_channels=1)
    return backbone


def test_the_table_of_pairs_is_true() -> None:
    header, alone, *rows = table("decoder")
    backbones = [built(name) for name in header[1:]]
    assert alone[1:] == [f"{count(backbone) / 1e6:.2f}" for backbone in backbones]
    for name, *cells in rows:
        for backbone, cell in zip(backbones, cells, strict=True):
            with torch.device("meta"):
                decoder = create(
                    "decoder", name, channels=backbone.channels, reductions=backbone.reductions
                )
            head = decoder.out_channels * decoder.head_kernel_size**2 + 1
            total = count(backbone) + count(decoder) + head
            assert cell == f"{total / 1e6:.2f}", f"{name}: {total:,}"


def test_the_table_of_sizes_is_true() -> None:
    for names, reductions, side, _ in table("backbone")[1:]:
        for name in names.replace("`", "").split(", "):
            backbone = built(name)
            assert reductions == ", ".join(map(str, backbone.reductions))
            assert int(side) == backbone.minimum_size
