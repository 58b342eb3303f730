"""The blocks of the U-Net family against slow forwards, written out from the papers."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from ssl_registry import Decoder, create, decay_groups
from ssl_registry_attention_unet.decoder import AttentionGate
from ssl_registry_multires.blocks import MultiResBlock, ResPath
from ssl_registry_r2unet.blocks import RecurrentConv, RecurrentResidualBlock
from ssl_registry_residual_unet.blocks import ResidualUnit
from ssl_registry_sk.blocks import SelectiveKernel
from ssl_registry_unext.blocks import TokenisedMLP, shifted
from ssl_registry_unext.decoder import additive_widths

State = dict[str, Tensor]


def conv(x: Tensor, state: State, name: str, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """A convolution that keeps the size, as a sum over the kernel's taps on a padded map."""
    kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    reach = dilation * (kernel.shape[-1] // 2)
    n, c, height, width = x.shape
    padded = x.new_zeros(n, c, height + 2 * reach, width + 2 * reach)
    padded[:, :, reach : reach + height, reach : reach + width] = x
    total = bias.view(1, -1, 1, 1).expand(n, -1, height, width)
    for i in range(kernel.shape[-2]):
        for j in range(kernel.shape[-1]):
            top, left = i * dilation, j * dilation
            tap = padded[:, :, top : top + height, left : left + width]
            total = total + torch.einsum("nchw,oc->nohw", tap, kernel[:, :, i, j])
    return total[:, :, ::stride, ::stride]


def standardised(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    mean = x.mean(dim=dim, keepdim=True)
    variance = (x - mean).square().mean(dim=dim, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5)


def norm(x: Tensor, state: State, name: str) -> Tensor:
    """Batch normalisation as in training."""
    scale, shift = (state[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias"))
    return standardised(x, (0, 2, 3)) * scale + shift


def random(module: nn.Module, seed: int = 0) -> tuple[Any, State]:
    """The module in training mode with random float64 parameters, and these."""
    torch.manual_seed(seed)
    module.double().train()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module, {key: value.clone() for key, value in module.state_dict().items()}


def check(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_the_attention_gate() -> None:
    gate, state = random(AttentionGate(gate=5, skip=3, inner=4))
    skip, gating = image(2, 3, 6, 7), image(2, 5, 6, 7)
    inner = norm(conv(gating, state, "from_gate.0"), state, "from_gate.1") + norm(
        conv(skip, state, "from_skip.0"), state, "from_skip.1"
    )
    psi = norm(conv(inner.clamp(min=0), state, "psi.0"), state, "psi.1")
    check(gate(skip, gating), skip / (1 + torch.exp(-psi)))


def test_the_selective_kernel_block() -> None:
    block, state = random(SelectiveKernel(3, 6, compression=0.5))
    x = image(4, 3, 7, 6)
    u = norm(conv(x, state, "dilated.0", dilation=2), state, "dilated.1").clamp(min=0)
    v = norm(conv(x, state, "plain.0"), state, "plain.1").clamp(min=0)
    squeezed = (u + v).mean(dim=(2, 3)) @ state["attention.0.weight"].T + state["attention.0.bias"]
    assert squeezed.shape == (4, 3)
    inner = standardised(squeezed, (0,)) * state["attention.1.weight"] + state["attention.1.bias"]
    logits = inner.clamp(min=0) @ state["attention.3.weight"].T + state["attention.3.bias"]
    expected = torch.empty_like(u)
    for n in range(4):
        for c in range(6):
            a = 1 / (1 + math.exp(-logits[n, c].item()))
            expected[n, c] = a * u[n, c] + (1 - a) * v[n, c]
    check(block(x), expected)


def recurrent(x: Tensor, state: State, name: str, recurrences: int) -> Tensor:
    scale, shift = (state[f"{name}{key}"].view(1, -1, 1, 1) for key in ("scale", "shift"))
    answer = torch.zeros_like(x)
    for _ in range(recurrences + 1):
        total = conv(x + answer, state, f"{name}conv")
        answer = (standardised(total, (0, 2, 3)) * scale + shift).clamp(min=0)
    return answer


@pytest.mark.parametrize("recurrences", [0, 1, 2, 3])
def test_the_recurrent_residual_block(recurrences: int) -> None:
    block, state = random(RecurrentResidualBlock(2, 4, recurrences))
    x = image(2, 2, 6, 5)
    projected = conv(x, state, "project")
    inner = recurrent(projected, state, "recurrent.0.", recurrences)
    check(block(x), projected + recurrent(inner, state, "recurrent.1.", recurrences))


def test_the_scale_of_a_recurrent_step_is_that_of_a_norm() -> None:
    block = RecurrentConv(5, 1)
    (decayed, spared) = sorted(decay_groups(block.parameters()), key=lambda g: not g.weight_decay)
    assert [p.shape for p in decayed.parameters] == [block.conv.weight.shape]
    assert [p.shape for p in spared.parameters] == [(5,), (5,), (5,)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert block(torch.rand(2, 5, 4, 4)).dtype == torch.bfloat16


def test_each_recurrent_step_is_evaluated_with_its_own_statistics() -> None:
    block, _ = random(RecurrentConv(4, recurrences=2))
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    x = image(8, 4, 32, 32)
    trained = block(x)
    # What is left is the unbiased variance that running statistics keep: 1 in 8192.
    torch.testing.assert_close(block.eval()(x), trained, rtol=1e-3, atol=1e-3)
    means = [norm.running_mean for norm in block.norms]
    assert (means[0] - means[1]).abs().max() > 0.1


def conv_norm(x: Tensor, state: State, name: str) -> Tensor:
    return norm(conv(x, state, f"{name}.0"), state, f"{name}.1")


def test_the_multires_block() -> None:
    block, state = random(MultiResBlock(3, 16, alpha=1.67))
    x = image(2, 3, 7, 6)
    a = conv_norm(x, state, "convs.0").clamp(min=0)
    b = conv_norm(a, state, "convs.1").clamp(min=0)
    c = conv_norm(b, state, "convs.2").clamp(min=0)
    assert [part.shape[1] for part in (a, b, c)] == [4, 8, 13]  # 26.72 / 6, / 3, / 2
    joined = norm(torch.cat([a, b, c], dim=1), state, "norm_joined")
    total = joined + conv_norm(x, state, "shortcut")
    check(block(x), norm(total, state, "norm_sum").clamp(min=0))


def test_the_residual_path() -> None:
    path, state = random(ResPath(3, 5, length=3))
    skip = image(2, 3, 6, 5)
    expected = skip
    for index in range(3):
        unit = f"units.{index}"
        inner = conv_norm(expected, state, f"{unit}.conv").clamp(min=0)
        total = inner + conv_norm(expected, state, f"{unit}.shortcut")
        expected = norm(total, state, f"{unit}.norm").clamp(min=0)
    check(path(skip), expected)


def test_the_residual_paths_grow_with_the_resolution() -> None:
    decoder: Decoder = create(
        "decoder", "multiresunet", channels=(8, 8, 8, 8, 8), reductions=(1, 2, 4, 8, 16)
    )
    lengths = [
        len(list(module.units)) for module in decoder.modules() if isinstance(module, ResPath)
    ]
    assert lengths == [1, 2, 3, 4]


def test_narrow_residual_paths_are_those_of_the_papers_table() -> None:
    with torch.device("meta"):
        backbone = create("backbone", "multires_encoder", in_channels=1)
        decoder = create(
            "decoder",
            "multiresunet",
            channels=backbone.channels,
            reductions=backbone.reductions,
            narrow_paths=True,
        )
    outputs = [
        cast("Any", module.units[0]).norm.num_features
        for module in decoder.modules()
        if isinstance(module, ResPath)
    ]
    assert outputs == [256, 128, 64, 32]


def norm_act(x: Tensor, state: State, name: str) -> Tensor:
    """Instance normalisation and PReLU."""
    x = standardised(x, (2, 3))
    return torch.where(x > 0, x, state[f"{name}.weight"] * x)


@pytest.mark.parametrize(("stride", "outputs"), [(1, 3), (1, 5), (2, 3), (2, 5)])
def test_the_residual_unit(stride: int, outputs: int) -> None:
    unit, state = random(ResidualUnit(3, outputs, stride=stride))
    x = image(2, 3, 9, 6)
    first = norm_act(conv(x, state, "conv.0", stride=stride), state, "conv.2")
    inner = norm_act(conv(first, state, "conv.3"), state, "conv.5")
    shortcut = x
    if (stride, outputs) != (1, 3):
        shortcut = conv(x, state, "shortcut", stride=stride)
        assert state["shortcut.weight"].shape[-1] == (3 if stride == 2 else 1)
    check(unit(x), inner + shortcut)


def transposed(x: Tensor, state: State, name: str) -> Tensor:
    """3x3 transposed convolution of stride 2: each pixel adds a kernel to the doubled map."""
    kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    n, _, height, width = x.shape
    canvas = x.new_zeros(n, kernel.shape[1], 2 * height + 1, 2 * width + 1)
    for i in range(3):
        for j in range(3):
            canvas[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += torch.einsum(
                "nchw,co->nohw", x, kernel[:, :, i, j]
            )
    return canvas[:, :, 1:, 1:] + bias.view(1, -1, 1, 1)


def test_the_residual_decoder() -> None:
    decoder, state = random(
        create("decoder", "residual_unet", channels=(3, 4), reductions=(2, 4), widths=(5, 2))
    )
    fine, coarse = image(2, 3, 6, 8), image(2, 4, 3, 4)
    x = norm_act(transposed(coarse, state, "steps.0.up.0"), state, "steps.0.up.2")
    x = x + norm_act(
        conv(x, state, "steps.0.unit.conv.0"),
        state,
        "steps.0.unit.conv.2",
    )
    x = torch.cat([fine, x], dim=1)
    x = norm_act(transposed(x, state, "steps.1.up.0"), state, "steps.1.up.2")
    check(decoder([fine, coarse], (12, 16)), x + conv(x, state, "steps.1.unit.conv.0"))


def moved(x: Tensor, vertical: bool) -> Tensor:
    """The shift, pixel by pixel."""
    _, channels, height, width = x.shape
    group = math.ceil(channels / 5)
    result = torch.zeros_like(x)
    for c in range(channels):
        distance = c // group - 2
        for i in range(height):
            for j in range(width):
                k, m = (i - distance, j) if vertical else (i, j - distance)
                if 0 <= k < height and 0 <= m < width:
                    result[:, c, i, j] = x[:, c, k, m]
    return result


@pytest.mark.parametrize("shape", [(2, 10, 7, 6), (1, 12, 5, 4), (2, 5, 1, 1), (2, 7, 2, 3)])
def test_channels_are_shifted(shape: tuple[int, int, int, int]) -> None:
    x = image(*shape)
    assert torch.equal(shifted(x, -2), moved(x, vertical=True))
    assert torch.equal(shifted(x, -1), moved(x, vertical=False))


def layer_norm(x: Tensor, state: State, name: str) -> Tensor:
    scale, shift = (state[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("weight", "bias"))
    return standardised(x, (1,)) * scale + shift


def linear(x: Tensor, state: State, name: str) -> Tensor:
    product = torch.einsum("nchw,oc->nohw", x, state[f"{name}.weight"])
    return product + state[f"{name}.bias"].view(1, -1, 1, 1)


def test_the_tokenised_mlp() -> None:
    block, state = random(TokenisedMLP(12))
    x = image(2, 12, 5, 6)
    h = linear(moved(layer_norm(x, state, "norm"), vertical=True), state, "first")
    # Depthwise is a full convolution whose kernel is zero off the diagonal.
    diagonal = torch.eye(12, dtype=torch.float64)[:, :, None, None] * state["depthwise.weight"]
    full = {"full.weight": diagonal, "full.bias": state["depthwise.bias"]}
    h = conv(h, full, "full")
    h = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    h = linear(moved(h, vertical=False), state, "second")
    check(block(x), layer_norm(x + h, state, "norm_end"))


def test_unext_adds_its_skips() -> None:
    assert additive_widths([16, 32, 128, 160, 256], [2, 4, 8, 16, 32]) == [160, 128, 32, 16, 16]
    assert additive_widths([16, 32, 128], [2, 4, 16]) == [32, 32, 16, 16]
    decoder, state = random(
        create("decoder", "unext", channels=(3, 4), reductions=(1, 2), token_steps=0)
    )
    fine, coarse = image(2, 3, 4, 6), image(2, 4, 4, 6)
    x = norm(conv(coarse, state, "steps.0.conv"), state, "steps.0.norm").clamp(min=0)
    check(decoder([fine, coarse], (4, 6)), x + fine)
