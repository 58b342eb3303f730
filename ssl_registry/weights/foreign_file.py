"""Reading the tensors of files that other code wrote, and nothing but tensors.

This is the one place where a PyTorch checkpoint is opened. Its pickle is read by PyTorch's own
restricted reader (`weights_only=True`), which knows tensors and plain values and runs no code.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssl_registry.errors import WeightsError

SAFETENSORS = (".safetensors",)
CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".tar")

_USUAL_ENTRIES = ("state_dict", "model", "model_state_dict")
_SHOWN = 8
_OBJECT = re.compile(r"(?:GLOBAL|class|operand|global:?) ([A-Za-z_][\w.]*\.\w+)")


@dataclass(frozen=True)
class ForeignFile:
    """Tensors by name, and the entry of the file that held them (empty: the file itself)."""

    tensors: Mapping[str, Tensor]
    entry: str = ""


def read_foreign(file: Path, entry: str | None = None) -> ForeignFile:
    """Read a safetensors file or a PyTorch checkpoint.

    Args:
        file: Its suffix says which of the two it is.
        entry: The entry of a checkpoint that holds the tensors; None: `state_dict` or `model`
            where there is one, the checkpoint itself, or its only entry that holds tensors.

    Raises:
        WeightsError: It is missing, damaged, holds more than tensors and plain values, or it is
            not clear where in it the tensors are.
    """
    _check_readable(file)
    if file.suffix.lower() in SAFETENSORS:
        if entry is not None:
            raise WeightsError(f"{file} is a safetensors file, which has no entry {entry!r}")
        return ForeignFile(_checked(_read_safetensors(file), file))
    content = _read_checkpoint(file)
    name = _entry(content, file) if entry is None else entry
    if name and not _holds_tensors(content.get(name)):
        raise WeightsError(f"{file} holds no tensors under {name!r}, only {_contents(content)}")
    return ForeignFile(_checked(content[name] if name else content, file), name)


def _check_readable(file: Path) -> None:
    if file.is_dir():
        raise WeightsError(
            f"{file} is a folder; give the file in it. (Folders of this library need no import.)"
        )
    if not file.is_file():
        raise WeightsError(f"there is no file {file}")
    if file.stat().st_size == 0:
        raise WeightsError(f"{file} is empty")
    if file.suffix.lower() not in (*SAFETENSORS, *CHECKPOINTS):
        raise WeightsError(
            f"{file} is not known to hold weights: its name should end in "
            f"{', '.join((*SAFETENSORS, *CHECKPOINTS))}"
        )


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file} is no safetensors file, or is damaged: {error}") from error


def _read_checkpoint(file: Path) -> dict[str, Any]:
    try:
        # In memory only where it must be: optimizer states and the like are never looked at.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about how whoever wrote the file did it
            content = torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except Exception as error:
        # What a damaged or hostile file makes PyTorch raise is not documented and of many kinds.
        raise _refusal(file, error) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{file} holds a {type(content).__name__} instead of named tensors")
    return content


def _refusal(file: Path, error: Exception) -> WeightsError:
    text = str(error)
    found = _OBJECT.search(text)
    if "Weights only load failed" not in text or found is None:
        reason = text.strip().partition("\n")[0] or type(error).__name__
        return WeightsError(f"{file} is no PyTorch checkpoint, or is damaged: {reason}")
    return WeightsError(
        f"{file} holds more than tensors ({found[1]}), and loading that could run code, so it is "
        "not loaded. If you trust whoever made the file, write its tensors to another one, in an "
        "environment where it can be loaded, and import that:\n"
        f'  content = torch.load("{file.name}", map_location="cpu", weights_only=False)\n'
        '  torch.save({"state_dict": content["state_dict"]}, "tensors.pth")'
    )


def _entry(content: Mapping[str, Any], file: Path) -> str:
    """The name of the entry that holds the tensors; empty if the content itself does."""
    for name in _USUAL_ENTRIES:
        if _holds_tensors(content.get(name)):
            return name
    if any(isinstance(value, Tensor) for value in content.values()):
        return ""
    found = [name for name, value in content.items() if _holds_tensors(value)]
    if len(found) != 1:
        which = f"several: {', '.join(map(str, found))}" if found else "none"
        raise WeightsError(
            f"of the entries of {file}, {which} hold named tensors; it holds {_contents(content)}"
            + ("; say which one with --entry NAME" if found else "")
        )
    return found[0]


def _holds_tensors(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values())


def _checked(content: Mapping[Any, Any], file: Path) -> dict[str, Tensor]:
    """The content as tensors by name, all of which are ordinary ones."""
    for name, value in content.items():
        kind = _strange(name, value)
        if kind:
            raise WeightsError(f"in {file}, {name!r} is {kind}, not an ordinary tensor with a name")
    if not content:
        raise WeightsError(f"{file} holds no tensors")
    return {name: value.detach() for name, value in content.items()}


def _strange(name: object, value: object) -> str:
    if not isinstance(value, Tensor) or not isinstance(name, str):
        return f"a {type(value).__name__}"
    if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
        return f"a {value.layout}, {value.dtype} tensor on {value.device}"
    return "a tensor of complex numbers" if value.is_complex() else ""


def _contents(content: Mapping[Any, Any]) -> str:
    shown = ", ".join(f"{name} ({type(value).__name__})" for name, value in content.items())
    names = list(content)
    if len(names) > _SHOWN:
        shown = f"{', '.join(map(str, names[:_SHOWN]))}, ... ({len(names)} entries)"
    return shown or "nothing"
