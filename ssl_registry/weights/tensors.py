"""Tensors on their way into safetensors files, and the digest of such a file."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ssl_registry.errors import RunError, WeightsError

RESERVED: Final = "__metadata__"
"""The one name that a safetensors file keeps for itself."""
METADATA = {"format": "pt"}
"""The one metadata entry of a file to share: several would be written in random order."""

_WINDOW = 2**24


def owned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU that share no memory with each other or the originals."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()
    }


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file.

    Raises:
        RunError: The file cannot be written, for example because the disk is full.
    """
    try:
        save_file(owned(tensors), path, metadata=metadata)
    except SafetensorError as error:
        raise RunError(f"cannot write {path}: {error}") from error


def check_exportable(tensors: Mapping[str, Tensor]) -> None:
    """Raise unless tensors may go into an exchange folder.

    Raises:
        WeightsError: There are none; one holds NaN or infinity; two share memory, which the file
            could not tell from equal copies; or a name is reserved.
    """
    if not tensors:
        raise WeightsError("there are no tensors to save")
    owner: dict[int, str] = {}
    for name, tensor in tensors.items():
        if name == RESERVED or not name:
            raise WeightsError(f"{name!r} is no name for a tensor in a safetensors file")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f"the weights hold non-finite numbers in {name}; not saved")
        if tensor.numel() == 0:
            continue
        other = owner.setdefault(tensor.untyped_storage().data_ptr(), name)
        if other != name:
            raise WeightsError(
                f"the weights {other} and {name} share their memory; not saved, because whoever "
                "loads them would get two that are trained apart. Leave one out or copy it"
            )


def content_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hexadecimal, over name, dtype, shape and bytes of each tensor, sorted by name.

    Unlike the file's digest it does not depend on the order or layout in the file, so the same
    weights written by another library have the same one.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        head = json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)])
        digest.update(f"{head}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        # Mapped it need not be copied; by windows, the whole file is never in memory at once.
        for start in range(0, size, _WINDOW):
            length = min(_WINDOW, size - start)
            with mmap.mmap(stream.fileno(), length, offset=start, access=mmap.ACCESS_READ) as part:
                digest.update(part)
    return digest.hexdigest()
