"""What a kernel sees, beside torch's own unfolding."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ssl_registry.nn.columns import Movement, columns, rows_of

MOVEMENTS = [
    Movement((3, 3), (1, 1), (1, 1)),
    Movement((3, 3), (2, 2), (1, 1)),
    Movement((2, 2), (2, 2), (0, 0)),
    Movement((1, 1), (2, 2), (0, 0)),
    Movement((1, 1), (1, 1), (0, 0)),
    Movement((3, 2), (1, 3), (2, 0)),
]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("movement", MOVEMENTS)
def test_columns_are_those_of_torch_in_another_order(movement: Movement, last: bool) -> None:
    images = torch.randn(3, 4, 5, 6)
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    images = images[1:]  # does not begin where its memory does
    unfolded = F.unfold(images, movement.kernel, padding=movement.padding, stride=movement.stride)
    outputs = movement.outputs((5, 6))
    height, width = movement.kernel
    assert unfolded.shape[2] == outputs[0] * outputs[1]
    expected = unfolded.view(2, 4, height, width, -1).permute(0, 4, 2, 3, 1)
    found = columns(images, movement)
    torch.testing.assert_close(found, expected.reshape(-1, height * width * 4), rtol=0, atol=0)


@pytest.mark.parametrize("movement", MOVEMENTS)
def test_a_product_of_columns_is_the_convolution(movement: Movement) -> None:
    images = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    weight = torch.randn(7, 4, *movement.kernel, dtype=torch.float64)
    expected = F.conv2d(images, weight, None, movement.stride, movement.padding)
    product = columns(images, movement) @ rows_of(weight).T
    found = product.view(2, *movement.outputs((5, 6)), 7).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("movement", MOVEMENTS)
def test_columns_can_be_derived_twice(movement: Movement) -> None:
    images = torch.randn(2, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda images: columns(images, movement), images)
    assert torch.autograd.gradgradcheck(lambda images: columns(images, movement), images)


def test_gradients_of_bf16_are_summed_in_fp32() -> None:
    movement = Movement((3, 3), (1, 1), (1, 1))
    images = torch.zeros(1, 1, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    seen = columns(images, movement)
    gradient = torch.full_like(seen, 1 / 256)
    gradient[0, 8] = 1  # in bf16, 1 + 1 / 256 is 1
    seen.backward(gradient)
    assert images.grad is not None
    middle = images.grad[0, 0, 1, 1]
    assert middle == torch.tensor(1 + 8 / 256, dtype=torch.bfloat16)
