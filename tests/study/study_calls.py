"""What workers call in tests in place of a real run; each behaves as `perform` does."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def nothing(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A run that costs nothing and gives numbers made of its id."""
    folder = Path(payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "summary.json").exists():
        (folder / "doubled").touch()
    share = int(payload["id"], 16) / 16**12
    test = {"dice/lesion": share, "dice/all_empty1": share / 2}
    summary = {"test": test, "steps": 1, "wall_seconds": 0.0}
    (folder / ".new").write_text(json.dumps(summary))
    (folder / ".new").rename(folder / "summary.json")
    return {"status": "done", "seconds": 0.001}


def recorded(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with a note of its data as real runs write it, and weights."""
    from ssl_registry.config.pretrain import PretrainConfig
    from ssl_registry.data.load import load_data
    from ssl_registry.study.perform import config_of

    config, folder = config_of(payload), Path(payload["folder"])
    if isinstance(config, PretrainConfig):
        (data,), size = config.data, config.stored_size
        (folder / "weights").mkdir(parents=True)
        (folder / "weights" / "ssl_registry.json").touch()
    else:
        data, size = config.data, config.image_size
    loaded = load_data(data, size=size, channels=3, masks=payload["kind"] == "finetune")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"gray": False, "data": [loaded.describe()]}))
    return nothing(payload)


def saves_when_asked(payload: Mapping[str, Any]) -> None:
    """Works until it is told to end, and then takes a moment to save."""

    def save(number: int, frame: object) -> None:
        time.sleep(0.2)
        (folder / "saved").touch()
        sys.exit(1)

    folder = Path(payload["folder"])
    folder.mkdir(parents=True)
    signal.signal(signal.SIGTERM, save)
    (folder / "begun").touch()
    time.sleep(600)


def resumed(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The last part of a run of 1,000 s, which took a moment."""
    answer = nothing(payload)
    file = Path(payload["folder"]) / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wall_seconds": 1000.0}))
    return answer


def slowly(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The same, a little later."""
    time.sleep(0.02)
    return nothing(payload)


def _attempt(payload: Mapping[str, Any]) -> int:
    """How often a run was begun, this time included."""
    folder = Path(payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "attempts").open("a") as file:
        file.write("x")
    return len((folder / "attempts").read_text())


def dies_once(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Kills its worker the first time."""
    if _attempt(payload) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return nothing(payload)


def _failed(error: str) -> dict[str, Any]:
    return {"status": "failed", "error": error}


def fails(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Seed 1 fails each time in a way that may be chance, seed 2 by a mistake; MoCo as well."""
    number = _attempt(payload)
    if payload["kind"] == "pretrain" and payload["config"]["method"]["name"] == "moco":
        return _failed("no queue")
    if payload["kind"] == "finetune" and payload["config"]["seed"] == 1:
        raise ValueError(f"attempt {number}")
    if payload["kind"] == "finetune" and payload["config"]["seed"] == 2:
        return _failed("a mistake")
    return nothing(payload)


def disk_is_full(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The third run finds no room."""
    done = len(list(Path(payload["folder"]).parent.glob("*/summary.json")))
    if done >= 2:
        return {"status": "stop", "error": "no space left on device"}
    return nothing(payload)


def busy_first(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Another process works on it, at first."""
    if _attempt(payload) == 1:
        return {"status": "busy", "error": "taken"}
    return nothing(payload)


def raises(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A fault of the call itself."""
    raise RuntimeError("not as agreed")


def environment(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker sees of the machine, and which process it is."""
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {"pid": os.getpid(), **{name: os.environ.get(name) for name in names}}


def prints(payload: Mapping[str, Any]) -> str:
    """Prints what could be taken for an answer."""
    os.write(1, b'{"id": "x", "result": "wrong"}\n')
    return "right"


def dies_before_its_child(payload: Mapping[str, Any]) -> None:
    """Kills its worker, whose child holds all it had open."""
    child = os.fork()
    if not child:
        time.sleep(600)
    Path(payload["file"]).write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def waits(payload: Mapping[str, Any]) -> None:
    """Does not end."""
    Path(payload["file"]).write_text(str(os.getpid()))
    time.sleep(600)
