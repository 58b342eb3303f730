"""Tensors on their way into safetensors files, and the digest of such a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ssl_registry.errors import RunError


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


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
