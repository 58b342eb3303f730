"""Activations that are computed twice: same outputs, gradients and running statistics."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from ssl_registry.build import build_backbone, build_decoder
from ssl_registry.nn import Trunk
from ssl_registry.nn.recomputation import Recomputed, recompute_blocks
from ssl_registry.registry import config_model

NETS: list[tuple[dict[str, Any], dict[str, Any] | None, int]] = [
    ({"name": "resnet18"}, None, 8),
    ({"name": "unet_encoder", "widths": [3, 4, 5]}, {"name": "unet", "widths": [4, 3]}, 5),
    ({"name": "timm", "model": "convnext_atto"}, None, 12),
]


def component(kind: Any, table: dict[str, Any]) -> Any:
    return config_model(kind, table["name"]).model_validate(table)


def network(backbone: dict[str, Any], decoder: dict[str, Any] | None) -> Trunk:
    torch.manual_seed(0)
    encoder = build_backbone(component("backbone", backbone), 1)
    return Trunk(
        encoder, build_decoder(component("decoder", decoder), encoder) if decoder else None
    )


def kept_bytes(module: Trunk, images: Tensor) -> tuple[Tensor, int]:
    """The embedding, and the bytes of activations kept for the backward."""
    parameters = {p.data_ptr() for p in module.parameters()}
    sizes: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        if x.data_ptr() not in parameters:
            sizes[x.data_ptr()] = x.untyped_storage().nbytes()
        return x

    with saved_tensors_hooks(note, lambda x: x):
        embedding = module.embed(images)
    return embedding, sum(sizes.values())


@pytest.mark.parametrize(("backbone", "decoder", "blocks"), NETS, ids=str)
def test_results_are_the_same_with_less_memory(
    backbone: dict[str, Any], decoder: dict[str, Any] | None, blocks: int
) -> None:
    plain = network(backbone, decoder)
    thrifty = copy.deepcopy(plain)
    names = list(plain.state_dict())
    assert recompute_blocks(thrifty) == blocks == recompute_blocks(thrifty)
    assert list(thrifty.state_dict()) == names
    thrifty = copy.deepcopy(thrifty)  # copies recompute blocks of their own
    images = torch.randn(4, 1, 64, 64)
    kept = []
    for module in (plain, thrifty):
        total = torch.zeros(())
        for part in images.split(2):  # two forwards before the backward, as of two views
            embedding, size = kept_bytes(module, part)
            total = total + embedding.square().sum()
        kept.append(size)
        total.backward()
    assert kept[1] < 0.6 * kept[0]
    for one, two in zip(plain.parameters(), thrifty.parameters(), strict=True):
        if one.grad is None or two.grad is None:
            assert one.grad is two.grad
        else:
            torch.testing.assert_close(two.grad, one.grad, rtol=0, atol=0)
    for name, buffer in plain.named_buffers():
        assert torch.equal(dict(thrifty.named_buffers())[name], buffer), name


def test_a_network_without_blocks_is_told() -> None:
    flat = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    assert recompute_blocks(flat) == 0


def test_what_is_dropped_out_is_the_same_in_the_repetition() -> None:
    block = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    plain, images = nn.Sequential(block, nn.Linear(8, 1)), torch.randn(16, 8)
    thrifty = copy.deepcopy(plain)
    assert recompute_blocks(thrifty) == 1
    assert isinstance(thrifty[0], Recomputed) and not isinstance(thrifty[1], Recomputed)
    for module in (plain, thrifty):
        torch.manual_seed(1)
        module(images).square().sum().backward()
    torch.testing.assert_close(thrifty[0][0].weight.grad, plain[0][0].weight.grad, rtol=0, atol=0)
