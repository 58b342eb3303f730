"""Convolutions of small maps, beside those of torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ssl_registry import create
from ssl_registry.nn import small_maps
from ssl_registry.nn.kernel_windows import windows
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
    (3, 1, 2, (1, 1)),
    (5, 1, 2, (3, 3)),
    (7, 2, 3, (4, 4)),
    ((3, 5), (1, 2), (1, 2), (2, 3)),
]
FEW_OUTPUTS = [
    (3, 1, 0, (4, 4)),
    (3, 2, 1, (4, 4)),
    (3, 2, 1, (3, 4)),
    ((1, 3), (2, 2), (0, 1), (4, 3)),
    (2, 2, 0, (4, 4)),
    (3, 2, 2, (2, 2)),
    (3, 3, 2, (2, 2)),
    (1, 2, 0, (7, 8)),
    (1, 2, 0, (2, 2)),
    (1, (1, 3), 0, (5, 9)),
]
GRADIENT_BY_PRODUCT = [
    (3, 1, 1, (3, 3)),
    (3, 1, 1, (4, 4)),
    (3, 2, 1, (8, 7)),
    (5, 4, 2, (15, 16)),
    ((3, 1), 1, (1, 0), (3, 4)),
]
AS_EVER = [
    (3, 1, 1, (4, 5)),
    (3, 1, 3, (1, 1)),  # whose outermost outputs see padding only
    (1, 1, 0, (4, 5)),
    (7, 2, 3, (9, 9)),
]


class Counted(SmallMapConv2d):
    """Counts what is done by a matrix product, and gradients that are."""

    products = 0
    gradients = 0
    columns = 0

    def _each_pixel(self, images: Tensor) -> Tensor:
        self.products += 1
        return super()._each_pixel(images)

    def _whole_map(self, *given: Any) -> Tensor:
        self.products += 1
        return super()._whole_map(*given)

    def _few_outputs(self, images: Tensor) -> Tensor:
        self.columns += 1
        return super()._few_outputs(images)

    def _gradient_by_product(self, images: Tensor) -> Tensor:
        self.gradients += 1
        return super()._gradient_by_product(images)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.products, self.columns, self.gradients


@pytest.fixture(autouse=True)
def little_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small examples go the ways of large ones, on any processor."""
    monkeypatch.setattr(small_maps, "_LITTLE_WORK", 0)
    monkeypatch.setattr(small_maps, "_LITTLE_WORK_OF_GRADIENTS", 0)
    monkeypatch.setattr(small_maps, "_TILES", True)


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
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    ONE_PRODUCT + FEW_OUTPUTS + GRADIENT_BY_PRODUCT + AS_EVER,
)
def test_values_and_gradients_are_those_of_torch(
    kernel: Any,
    stride: Any,
    padding: Any,
    size: tuple[int, int],
    bias: bool,
    last: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(small_maps, "_PRODUCT_DTYPE", torch.float64)
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
    asked = kernel, stride, padding, size
    ways = ONE_PRODUCT, FEW_OUTPUTS, GRADIENT_BY_PRODUCT
    assert changed.counts == tuple(asked in way for way in ways)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [*ONE_PRODUCT[:5], (1, 2, 0, (3, 3)), (3, 2, 1, (4, 3)), (2, 2, 0, (4, 2)), (3, 1, 1, (3, 2))],
)
def test_gradients_can_be_derived_again(
    kernel: int, stride: int, padding: int, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_maps, "_PRODUCT_DTYPE", torch.float64)
    _, changed = pair(2, 3, kernel, stride=stride, padding=padding)
    given = images(16, 2, size)
    parameters = [changed.weight, changed.bias]

    def convolved(given: Tensor, *_: Tensor) -> Tensor:
        return changed(given[:2].repeat(8, 1, 1, 1))[:2]

    assert torch.autograd.gradcheck(convolved, (given, *parameters))
    assert torch.autograd.gradgradcheck(convolved, (given, *parameters))
    assert sum(count > 0 for count in changed.counts) == 1


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
    assert not any(changed.counts)


def test_few_images_and_a_single_one() -> None:
    plain, changed = pair(4, 6, 3, padding=1)
    for number, size, products, by_columns in (
        (15, (2, 2), 0, 1),
        (15, (1, 1), 1, 0),
        (1, (1, 1), 1, 0),
        (0, (1, 1), 1, 0),
        (0, (2, 2), 0, 1),
    ):
        changed.products = changed.columns = 0
        given = images(number, 4, size)
        torch.testing.assert_close(changed(given), plain(given))
        assert changed.counts == (products, by_columns, 0)
    single = images(1, 4, (1, 1))[0]
    torch.testing.assert_close(changed(single), plain(single))


@pytest.mark.parametrize(
    ("stride", "size"), [(1, (1, 1)), (1, (2, 2)), (2, (4, 4)), (1, (4, 4)), (2, (8, 8))]
)
def test_bf16_is_as_near_to_fp32_as_torchs_own(stride: int, size: tuple[int, int]) -> None:
    plain, changed = pair(64, 32, 3, stride=stride, padding=1)
    given = images(64, 64, size).detach().float()
    plain, changed = plain.float(), changed.float()
    exact_given, exact_weight = given.double().requires_grad_(), plain.weight.detach().double()
    exact_weight.requires_grad_()
    exact = F.conv2d(exact_given, exact_weight, plain.bias.double(), stride, 1)  # type: ignore[union-attr]
    weights = torch.randn_like(exact)
    exact_gradients = torch.autograd.grad((exact * weights).sum(), [exact_given, exact_weight])
    errors = []
    for layer in (plain, changed):
        seen = given.clone(memory_format=torch.channels_last).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(seen)
        assert found.dtype == torch.bfloat16
        (found.float() * weights.float()).sum().backward()
        gradients = seen.grad, layer.weight.grad
        pairs = [(found, exact), *zip(gradients, exact_gradients, strict=True)]
        for ours, _ in pairs[1:]:
            assert ours is not None
            assert ours.dtype == torch.float32
        errors.append(torch.stack([(ours - other).abs().mean() for ours, other in pairs]))  # type: ignore[operator]
    assert (errors[1] <= 1.1 * errors[0]).all(), errors
    assert any(changed.counts)


@pytest.mark.parametrize("size", [(2, 2), (4, 4)])
@pytest.mark.parametrize("needed", ["images", "weight", "bias"])
def test_some_may_need_no_gradient(
    needed: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_maps, "_PRODUCT_DTYPE", torch.float64)
    layers = pair(4, 6, 3, padding=1)
    values = images(16, 4, size).detach()
    found = []
    for layer in layers:
        given = values.clone(memory_format=torch.channels_last)
        tensors = {"images": given, "weight": layer.weight, "bias": layer.bias}
        for name, tensor in tensors.items():
            assert tensor is not None
            tensor.requires_grad_(name == needed)
        layer(given).square().sum().backward()
        gradients = {name: tensor.grad for name, tensor in tensors.items() if tensor is not None}
        assert [name for name, value in gradients.items() if value is not None] == [needed]
        found.append(gradients[needed])
    torch.testing.assert_close(found[1], found[0])
    assert any(layers[1].counts)


WAYS = [(1, (2, 2), "products"), (2, (4, 4), "columns"), (1, (4, 4), "gradients")]


@pytest.mark.parametrize(("stride", "size", "way"), WAYS)
def test_what_follows_may_be_done_in_place_and_again(
    stride: int, size: tuple[int, int], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In-place activations, activations that are computed again, and two backward passes."""
    monkeypatch.setattr(small_maps, "_PRODUCT_DTYPE", torch.float64)
    layers = pair(4, 6, 3, stride=stride, padding=1)
    many = images(40, 4, size).detach()
    found = []
    for layer in layers:
        given = many[7:27].requires_grad_()  # not at the beginning of its memory
        for again in (False, True):
            network = nn.Sequential(layer, nn.ReLU(inplace=True))
            out = checkpoint(network, given, use_reentrant=False) if again else network(given)
            # The gradient is one number that stands for all.
            out.sum().backward(retain_graph=True)
            out.sum().backward()
        assert given.grad is not None
        assert layer.weight.grad is not None
        found.append((given.grad.clone(), layer.weight.grad))
        given.grad = None
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, theirs)
    assert getattr(layers[1], way)


@pytest.mark.parametrize(("stride", "size"), [(1, (2, 2)), (2, (4, 4)), (1, (4, 4))])
def test_autocast_leaves_float64_alone(stride: int, size: tuple[int, int]) -> None:
    plain, changed = pair(4, 6, 3, stride=stride, padding=1)
    given = images(16, 4, size)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(changed(given), plain(given))
        with pytest.raises(RuntimeError, match="type"):
            changed.float()(given)


def test_types_that_torch_refuses_are_refused() -> None:
    _, changed = pair(4, 6, 3, padding=1)
    with pytest.raises(RuntimeError, match="type"):
        changed(images(16, 4, (2, 2)).float())


@pytest.mark.parametrize("tiles", [True, False])
def test_gradients_are_left_to_torch_where_that_is_faster(
    tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_maps, "_TILES", tiles)
    _, changed = pair(4, 6, 3, padding=1)
    changed.float()
    given = images(16, 4, (4, 4)).float()
    changed(given)
    assert not any(changed.counts)  # fp32
    with torch.autocast("cpu", torch.bfloat16):
        changed(given)
        assert changed.counts == (0, 0, int(tiles))
        monkeypatch.setattr(small_maps, "_LITTLE_WORK_OF_GRADIENTS", 16 * 16 * 216 + 1)
        changed(given)
        assert changed.counts == (0, 0, int(tiles))


def test_little_work_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_maps, "_LITTLE_WORK", 16 * 4 * 216)
    _, changed = pair(4, 6, 3, stride=2, padding=1)
    changed(images(15, 4, (4, 4)))
    assert changed.counts == (0, 0, 0)
    changed(images(16, 4, (4, 4)))
    assert changed.counts == (0, 1, 0)


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


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, s, size) for s, size, _ in WAYS] + [(1, 1, (2, 2))]
)
def test_a_gradient_lies_in_memory_as_its_parameter(
    kernel: int, stride: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else optimizers copy it."""
    monkeypatch.setattr(small_maps, "_PRODUCT_DTYPE", torch.float64)
    _, changed = pair(4, 6, kernel, stride=stride, padding=kernel // 2)
    changed(images(16, 4, size)).sum().backward()
    assert any(changed.counts)
    assert changed.weight.grad is not None
    assert changed.weight.grad.stride() == changed.weight.stride()


def test_no_weight_is_summed_with_what_lies_over_the_padding() -> None:
    """Of a map of one pixel only the middle of the kernel counts."""
    _, changed = pair(2, 2, 3, padding=1)
    matrix = windows(changed.weight, [(1, 1)], (1, 1), torch.float64)
    torch.testing.assert_close(matrix, changed.weight[:, :, 1, 1])
