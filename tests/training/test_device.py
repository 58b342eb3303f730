from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DeviceError
from ssl_registry.training.device import Execution, choose_execution, computes_in_bf16

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="cuda is there")


@pytest.mark.parametrize(
    "name", [pytest.param("cuda", marks=no_cuda), "cuda:77", "abacus", "cpu-1", "", "meta"]
)
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=r"here there is .*cpu") as caught:
        choose_execution(TrainingConfig(device=name))
    assert repr(name) in str(caught.value)


@no_cuda
def test_auto_is_chosen_and_a_precision_of_the_config_is_not() -> None:
    execution = choose_execution(TrainingConfig(device="cpu"))
    assert execution.automatic and execution.threads == torch.get_num_threads()
    assert not choose_execution(TrainingConfig(device="cpu", precision="fp32")).automatic


@no_cuda
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_auto_is_bf16_where_the_processor_has_it() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    listed = bool(flags & {"avx512_bf16", "amx_bf16"})
    asked = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    if listed != asked:
        pytest.skip(f"bf16 is listed in /proc/cpuinfo: {listed}; the processor has it: {asked}")
    execution = choose_execution(TrainingConfig(device="cpu"))
    assert execution.precision == ("bf16" if listed else "fp32")


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize("vectors", [True, False])
def test_tiles_or_vectors_of_bf16_are_enough(
    tiles: bool, vectors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors, raising=False)
    assert computes_in_bf16(torch.device("cpu")) == (tiles or vectors)
    assert not computes_in_bf16(torch.device("mps"))


def test_a_resumed_run_keeps_its_precision_unless_the_config_names_one() -> None:
    layer = torch.nn.Conv2d(3, 4, 3)
    for automatic in (True, False):
        execution = Execution(torch.device("cpu"), "bf16", 1, automatic)
        execution.go_on_with("fp32", layer)
        assert execution.precision == ("fp32" if automatic else "bf16")


class Both(torch.nn.Module):
    """A convolution and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.norm(self.conv(images))
        return features


def test_statistics_and_gradients_stay_fp32_and_exact_under_bf16() -> None:
    execution = Execution(torch.device("cpu"), "bf16", 1)
    network = Both()
    execution.place(network)
    images = torch.rand(16, 3, 12, 12)
    with execution.autocast():
        network(images).float().square().mean().backward()
        convolved = network.conv(images)
    norm = network.norm
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.running_mean.dtype == norm.running_var.dtype == torch.float32
    # Means of bf16 numbers that were summed in fp32: much closer than bf16 itself (2 ** -8).
    exact = 0.1 * convolved.double().mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean.double(), exact, atol=1e-6, rtol=1e-5)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


def test_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        assert choose_execution(TrainingConfig(device="cpu", threads=2)).threads == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_bf16_computes_in_bf16_but_keeps_weights_in_fp32() -> None:
    execution = choose_execution(TrainingConfig(device="cpu", precision="bf16"))
    layer = torch.nn.Conv2d(2, 2, 1)
    execution.place(layer)
    with execution.autocast():
        assert layer(torch.rand(1, 2, 4, 4)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
