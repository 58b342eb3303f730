"""Convolutions of small maps, beside those of torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import create
from ssl_registry.nn import small_maps
from ssl_registry.nn.small_maps import SmallMapConv2d, use_small_maps
from ssl_registry.training.device import Execution

ONE_PRODUCT = [
    # Kernel, stride, padding, map.
    (3, 1, 1, (1, 1)),
    (3, 1, 1, (2, 2)),
    (3, 1, 1, (1, 2)),
    (3, 2, 1, (2, 2)),
    (3, 2, 1, (2, 1)),
    (3, 1, 0, (3, 3)),
    (2, 2, 0, (2, 2)),
    (1, 1, 0, (1, 1)),
    (1, 1, 0, (4, 4)),
    (1, 2, 0, (7, 8)),
    (1, (1, 3), 0, (5, 9)),
    (3, 1, 2, (1, 1)),
    (5, 1, 2, (3, 3)),
    ((3, 5), (1, 2), (1, 2), (2, 3)),
]
AS_EVER = [
    (3, 1, 1, (3, 3)),  # a corner does not see the opposite one
    (3, 1, 1, (2, 3)),
    (3, 1, 3, (1, 1)),  # whose outermost outputs see padding only
    (3, 2, 2, (2, 2)),
    (1, 1, 0, (4, 5)),
    (1, 1, 1, (1, 1)),
    (7, 2, 3, (8, 8)),
]


class Counted(SmallMapConv2d):
    """Counts what is done by a matrix product."""

    products = 0

    def _places(self, images: Tensor) -> Any:
        places = super()._places(images)
        self.products += places is not None
        return places

    def _is_pixelwise(self, images: Tensor) -> bool:
        pixelwise = super()._is_pixelwise(images)
        self.products += pixelwise
        return pixelwise


def pair(*shape: Any, **settings: Any) -> tuple[nn.Conv2d, Counted]:
    torch.manual_seed(0)
    plain = nn.Conv2d(*shape, **settings).double().to(memory_format=torch.channels_last)
    changed = copy.deepcopy(plain)
    changed.__class__ = Counted
    assert isinstance(changed, Counted)
    return plain, changed


def images(number: int, channels: int, size: tuple[int, int], last: bool = True) -> Tensor:
    values = torch.randn(number, channels, *size, dtype=torch.float64)
    layout = torch.channels_last if last else torch.contiguous_format
    return values.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), ONE_PRODUCT + AS_EVER)
def test_values_and_gradients_are_those_of_torch(
    kernel: Any, stride: Any, padding: Any, size: tuple[int, int], bias: bool, last: bool
) -> None:
    plain, changed = pair(3, 5, kernel, stride=stride, padding=padding, bias=bias)
    given = images(17, 3, size, last)
    expected = plain(given)
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), [given, *plain.parameters()])
    found = changed(given)
    gradients = torch.autograd.grad((found * weights).sum(), [given, *changed.parameters()])
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert changed.products == ((kernel, stride, padding, size) in ONE_PRODUCT)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"), [*ONE_PRODUCT[:5], (1, 2, 0, (3, 3))]
)
def test_gradients_can_be_derived_again(kernel: int, stride: int, padding: int, size: Any) -> None:
    _, changed = pair(2, 3, kernel, stride=stride, padding=padding)
    given = images(16, 2, size)
    parameters = [changed.weight, changed.bias]

    def convolved(given: Tensor, *_: Tensor) -> Tensor:
        return changed(given[:2].repeat(8, 1, 1, 1))[:2]

    assert torch.autograd.gradcheck(convolved, (given, *parameters))
    assert torch.autograd.gradgradcheck(convolved, (given, *parameters))
    assert changed.products


@pytest.mark.parametrize(
    "settings",
    [
        {"padding": "same"},
        {"padding": 1, "groups": 2},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 1, "dilation": 2},
    ],
)
def test_other_convolutions_stay_as_they_are(settings: dict[str, Any]) -> None:
    plain, changed = pair(4, 6, 3, **settings)
    given = images(16, 4, (3, 3) if "dilation" in settings else (1, 1))
    torch.testing.assert_close(changed(given), plain(given))
    assert not changed.products


def test_few_images_and_a_single_one() -> None:
    plain, changed = pair(4, 6, 3, padding=1)
    for number, size, products in (
        (15, (2, 2), 0),
        (15, (1, 1), 1),
        (1, (1, 1), 1),
        (0, (1, 1), 1),
    ):
        changed.products = 0
        given = images(number, 4, size)
        torch.testing.assert_close(changed(given), plain(given))
        assert changed.products == products
    single = images(1, 4, (1, 1))[0]
    torch.testing.assert_close(changed(single), plain(single))


@pytest.mark.parametrize("size", [(1, 1), (2, 2)])
def test_bf16_is_as_near_to_fp32_as_torchs_own(size: tuple[int, int]) -> None:
    plain, changed = pair(64, 32, 3, padding=1)
    given = images(64, 64, size).detach().float()
    plain, changed = plain.float(), changed.float()
    exact = F.conv2d(given.double(), plain.weight.double(), plain.bias.double(), padding=1)  # type: ignore[union-attr]
    weights = torch.randn_like(exact)
    exact_gradient = torch.autograd.grad(
        (F.conv2d(given.double(), plain.weight.double(), None, padding=1) * weights).sum(),
        plain.weight,
    )[0]
    errors = []
    for layer in (plain, changed):
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(given)
        assert found.dtype == torch.bfloat16
        (found.float() * weights.float()).sum().backward()
        gradient = layer.weight.grad
        assert gradient is not None
        assert gradient.dtype == torch.float32
        errors.append(
            torch.stack([(found - exact).abs().mean(), (gradient - exact_gradient).abs().mean()])
        )
    assert (errors[1] <= 1.1 * errors[0]).all(), errors
    assert changed.products


def test_what_is_placed_on_a_cpu_gives_the_features_it_gave() -> None:
    torch.manual_seed(0)
    network = create("backbone", "resnet18", in_channels=3).double()
    given = torch.randn(16, 3, 32, 32, dtype=torch.float64)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    before = network(given)
    sum(stage.sum() for stage in before).backward()  # type: ignore[union-attr]
    gradients = {name: value.grad for name, value in network.named_parameters()}
    network.load_state_dict(state)
    network.zero_grad(set_to_none=True)
    Execution(torch.device("cpu"), "fp32", 1).place(network)
    assert list(network.state_dict()) == list(state)
    kinds = [type(part) for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert set(kinds) == {SmallMapConv2d}
    after = network(given)
    for ours, theirs in zip(after, before, strict=True):
        torch.testing.assert_close(ours, theirs)
    sum(stage.sum() for stage in after).backward()  # type: ignore[union-attr]
    for name, value in network.named_parameters():
        torch.testing.assert_close(value.grad, gradients[name], msg=name)


def test_classes_of_their_own_stay() -> None:
    class Own(nn.Conv2d):
        pass

    network = nn.Sequential(Own(1, 1, 1), nn.ConvTranspose2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    use_small_maps(network)
    use_small_maps(network)
    assert [type(part) for part in network] == [Own, nn.ConvTranspose2d, SmallMapConv2d]
    assert [type(part) for part in copy.deepcopy(network)][-1] is SmallMapConv2d
    assert "Conv2d(1, 1, kernel_size=(1, 1)" in repr(network[2])


def test_a_gradient_lies_in_memory_as_its_parameter() -> None:
    """Else fused optimizers copy it."""
    _, changed = pair(4, 6, 3, padding=1)
    changed(images(16, 4, (2, 2))).sum().backward()
    assert changed.products
    assert changed.weight.grad is not None
    assert changed.weight.grad.stride() == changed.weight.stride()


def test_no_weight_is_summed_with_what_lies_over_the_padding() -> None:
    """Of a map of one pixel only the middle of the kernel counts."""
    _, changed = pair(2, 2, 3, padding=1)
    matrix = small_maps._matrix(changed.weight, [(1, 1)], (1, 1), torch.float64)
    torch.testing.assert_close(matrix, changed.weight[:, :, 1, 1])
