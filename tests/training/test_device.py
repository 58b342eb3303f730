from __future__ import annotations

import pytest
import torch

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DeviceError
from ssl_registry.training.device import choose_execution

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="cuda is there")


@pytest.mark.parametrize(
    "name", [pytest.param("cuda", marks=no_cuda), "cuda:77", "abacus", "cpu-1", "", "meta"]
)
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match=r"here there is .*cpu") as caught:
        choose_execution(TrainingConfig(device=name))
    assert repr(name) in str(caught.value)


@no_cuda
def test_auto_is_fp32_on_the_cpu() -> None:
    execution = choose_execution(TrainingConfig())
    if not torch.backends.mps.is_available():
        assert execution.device.type == "cpu"
    assert execution.precision == "fp32"
    assert execution.threads == torch.get_num_threads()


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
