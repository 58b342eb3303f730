"""Resume checkpoints: safetensors and JSON in a folder that appears all at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssl_registry.errors import RunError
from ssl_registry.files import new_folder, read_json, write_json
from ssl_registry.weights.tensors import save_tensors

PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """Everything a run needs to go on.

    Attributes:
        tensors: Named groups of named tensors: the module, the optimizer, the best weights.
        state: Numbers and strings: step, sums of the running epoch, execution.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of `step` into `folder` and then remove older ones."""
    target = folder / f"{PREFIX}{step:09d}"
    with new_folder(target) as temporary:
        for name, tensors in checkpoint.tensors.items():
            save_tensors(temporary / f"{name}.safetensors", tensors)
        write_json(temporary / "state.json", checkpoint.state)
    for other in (*folder.glob(f"{PREFIX}*"), *folder.glob(f".{PREFIX}*.tmp")):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder`, or None.

    Raises:
        RunError: It is damaged; names the file.
    """
    found = _steps(folder)
    if not found:
        return None
    newest = found[-1]
    tensors = {}
    for file in sorted(newest.glob("*.safetensors")):
        try:
            tensors[file.stem] = load_file(file)
        except (SafetensorError, OSError) as error:
            raise RunError(f"the checkpoint {file} is damaged: {error}") from error
    return Checkpoint(tensors, read_json(newest / "state.json"))


def _steps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{PREFIX}*") if (path / "state.json").is_file())
