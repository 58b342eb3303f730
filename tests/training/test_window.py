"""Runs in windows end with the bits of runs step by step, and nothing is read within a window."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ssl_registry import StepOutput, pretrain
from ssl_registry.data.batches import MappedBatches
from ssl_registry.errors import TrainingError
from ssl_registry.training.interruption import Interrupted
from ssl_registry.training.loop import Loop
from ssl_registry.training.pretrain_job import PretrainJob
from ssl_registry.training.run_folder import RunFolder
from ssl_registry.training.stepper import Launched, Stepper
from ssl_registry.training.window import LONGEST

BAD, STOPPED = (3, 9), 7  # steps: six are an epoch
METHODS: dict[str, tuple[dict[str, Any], str]] = {
    "simclr": ({"projection_dim": 8, "projection_batch_norm": True}, "adam"),
    "moco": ({"projection_dim": 8, "bn_splits": 2, "mask_same_image": True}, "sgd"),
    "simsiam": ({"projection_dim": 8, "hidden_dim": 8, "prediction_hidden_dim": 4}, "lars"),
}


def table(method: str, **settings: Any) -> dict[str, Any]:
    more, optimizer = METHODS[method]
    return {
        "image_size": 32,
        "channels": 1,
        "method": {"name": method, **more},
        "backbone": {"name": "unet_encoder", "widths": [4, 8]},
        "data": [{"name": "phantom", "images_per_organ": 12, "size": 48}],
        "training": {
            "steps": 11,
            "batch_size": 4,
            "device": "cpu",
            "threads": 1,
            "checkpoint_seconds": 1000,
            "optimizer": {"name": optimizer, "learning_rate": 0.05},
        },
        **settings,
    }


class Steps:
    """Notes the steps that are begun; the loss of some is NaN, and before one a stop is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bad: Sequence[int] = ()) -> None:
        self.begun: list[int] = []
        self.stop_at = -1
        begin, forward = Loop._begin, PretrainJob.step

        def begin_and_note(loop: Loop, step: int) -> NDArray[np.int64]:
            self.begun.append(step)
            if step == self.stop_at:
                loop._stop.requested = True
            return begin(loop, step)

        def sometimes_bad(job: PretrainJob, indices: NDArray[np.int64]) -> StepOutput:
            output = forward(job, indices)
            bad_now = self.begun[-1] in bad
            return replace(output, loss=output.loss * float("nan")) if bad_now else output

        monkeypatch.setattr(Loop, "_begin", begin_and_note)
        monkeypatch.setattr(PretrainJob, "step", sometimes_bad)


def left(run: Path) -> dict[str, Any]:
    """Weights, checkpoint and log, without what a clock decides."""
    (checkpoint,) = (run / "checkpoint").iterdir()
    files = [*checkpoint.glob("*.safetensors"), *run.glob("weights/*.safetensors")]
    found: dict[str, Any] = {file.name: file.read_bytes() for file in files}
    assert "optimizer.safetensors" in found
    for file in checkpoint.glob("*.json"):
        found[file.name] = without_clocks(json.loads(file.read_text()))
    return {**found, "log": [without_clocks(row) for row in RunFolder(run).read_log()]}


def without_clocks(facts: Mapping[str, Any]) -> dict[str, Any]:
    clocks = ("seconds", "wall_seconds", "epoch_seconds", "images_per_second", "peak_memory")
    return {name: value for name, value in facts.items() if name not in clocks}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_in_windows_has_the_bits_of_one_without(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, bad=BAD)
    wanted = left(pretrain(table(method), tmp_path / "single"))
    assert steps.begun == [*range(11)] and wanted["log"][0]["skipped"] == 1
    steps.begun, steps.stop_at = [], STOPPED
    monkeypatch.setitem(LONGEST, "cpu", 5)
    with pytest.raises(Interrupted, match="stopped after step 8 of 11"):
        pretrain(table(method), tmp_path / "windows")
    # A window that is taken again, the epoch's rest, and a window that is stopped in.
    assert steps.begun == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5, 6, 7]
    steps.begun, steps.stop_at = [], -1
    got = left(pretrain(table(method), tmp_path / "windows", resume=True))
    assert steps.begun == [8, 9, 10, 8, 9, 10]  # by now the optimizer has moments to put back
    for name, value in wanted.items():
        assert got[name] == value, name
    assert got.keys() == wanted.keys()


def test_a_collapse_stops_at_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"on_collapse": "stop", "collapse_threshold": 1.0, "collapse_steps": 3}
    steps, results = Steps(monkeypatch), []
    for longest in (1, 5):
        monkeypatch.setitem(LONGEST, "cpu", longest)
        folder = tmp_path / str(longest)
        with pytest.raises(TrainingError, match="stopped after step 3 of 11"):
            pretrain(table("simclr", monitoring=settings), folder)
        results.append(left(folder))
    assert results[0] == results[1]
    assert steps.begun == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 2]


READS = {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"}
SENDERS = (
    "ssl_registry.augment.crop",
    "ssl_registry.augment.fast",
    "ssl_registry.augment.operation",
    "ssl_registry.training.pretrain_job",
    "ssl_registry_moco.method",
)
WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2")


class Device:
    """Memory that stands for a device's, and what was read from it.

    Whatever is computed from it lies there, too.
    """

    def __init__(self) -> None:
        self.reads: list[str] = []
        self._memory: dict[int, Any] = {}  # held, so that no address comes twice

    def put(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self._memory[storage.data_ptr()] = storage
        return tensor

    def holds(self, values: Any) -> bool:
        if isinstance(values, Tensor):
            return values.untyped_storage().data_ptr() in self._memory
        return isinstance(values, (list, tuple)) and any(self.holds(value) for value in values)


class Reads(TorchFunctionMode):
    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in READS and self._device.holds(args):
            self._device.reads.append(func.__name__)
        return func(*args, **(kwargs or {}))


class Waits(TorchDispatchMode):
    def __init__(self, device: Device) -> None:
        super().__init__()
        self._device = device

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self._device.holds([*args, *(kwargs or {}).values()]):
            name = func.overloadpacket.__name__
            if name in WAITS or (name.startswith("index") and picks_by_mask(args)):
                self._device.reads.append(name)
            for tensor in output if isinstance(output, (list, tuple)) else [output]:
                if isinstance(tensor, Tensor):
                    self._device.put(tensor)
        return output


def picks_by_mask(args: tuple[Any, ...]) -> bool:
    places = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    return any(isinstance(p, Tensor) and p.dtype in (torch.bool, torch.uint8) for p in places)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Device:
    """Let weights, batches and all that is sent lie on a device that notes who reads from it."""
    device = Device()
    launch, images = Stepper.launch, MappedBatches.images

    def watched(stepper: Stepper, *args: Any) -> Launched:
        for tensor in (*stepper._job.module.parameters(), *stepper._job.module.buffers()):
            device.put(tensor.data)
        with Reads(device), Waits(device):
            return launch(stepper, *args)

    monkeypatch.setattr(Stepper, "launch", watched)
    monkeypatch.setattr(MappedBatches, "images", lambda b, places: device.put(images(b, places)))
    for name in SENDERS:
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "sent", lambda tensor, _: device.put(tensor.clone()))
    return device


@pytest.mark.parametrize(
    ("method", "channels"), [("simclr", 1), ("simclr", 3), ("moco", 1), ("simsiam", 1)]
)
def test_nothing_is_read_within_a_window(
    method: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = table(method, channels=channels)
    config["training"]["steps"] = 3
    monkeypatch.setitem(LONGEST, "cpu", 3)
    device = stand_in(monkeypatch)
    steps = Steps(monkeypatch)
    pretrain(config, tmp_path / "run")
    assert steps.begun == [0, 1, 2] and device.reads == []


def test_what_is_read_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LONGEST, "cpu", 3)
    device = stand_in(monkeypatch)
    forward = PretrainJob.step

    def reading(job: PretrainJob, indices: NDArray[np.int64]) -> StepOutput:
        output = forward(job, indices)
        z = output.embeddings
        assert z is not None
        if bool(output.loss > 0) and z[z[:, 0] > 0].sum().tolist() and len(z.nonzero()):
            device.reads.append("all")
        return output

    monkeypatch.setattr(PretrainJob, "step", reading)
    config = table("simclr")
    config["training"]["steps"] = 3
    pretrain(config, tmp_path / "run")
    assert {"__bool__", "_local_scalar_dense", "index", "tolist", "nonzero"} <= {*device.reads}
