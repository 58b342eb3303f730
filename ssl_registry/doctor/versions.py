"""Versions of what the library stands on, and the devices there are."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping

import ssl_registry
from ssl_registry.doctor.finding import Finding
from ssl_registry.doctor.libraries import LIBRARIES, Facts, imported_libraries
from ssl_registry.doctor.pairing import pairing, partner_command
from ssl_registry.requirements import installed_version

_GIGABYTE = 10**9


def versions() -> Iterator[Finding]:
    """The library, Python, and the libraries it computes with."""
    yield Finding("ssl-registry", f"{ssl_registry.__version__} in {ssl_registry.__path__[0]}")
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("platform", platform.platform())
    facts = imported_libraries()
    mismatch = pairing(
        installed_version("torch"),
        installed_version("torchvision"),
        facts["torchvision"].get("error", ""),
    )
    mismatch = mismatch if "error" not in facts["torch"] else None
    for name in LIBRARIES:
        yield _library(name, facts, mismatch)
    if mismatch is not None:
        yield mismatch
    torch = facts["torch"]
    if "error" not in torch:
        cudnn = f", cuDNN {torch['cudnn_version']}" if torch["cudnn_version"] else ""
        yield Finding("CUDA", (torch["cuda_version"] or "torch is built without it") + cudnn)


def _library(name: str, facts: Mapping[str, Facts], mismatch: Finding | None) -> Finding:
    error = facts[name].get("error", "")
    version = installed_version(name)
    if not error:
        return Finding(name, facts[name].get("version") or version)
    value = f"{version or 'not installed'}; cannot be imported: {error}"
    if not version and "No module named" in error:
        torch = installed_version("torch")
        beside = name == "torchvision" and torch
        command = partner_command(torch) if beside else f"pip install {name}"
        return Finding(name, "not installed", "broken", command)
    if name != "torch" and "error" in facts["torch"]:
        return Finding(name, value, "broken", "mend torch first")
    if mismatch is not None:
        return Finding(name, value, "broken", "mend torch and torchvision first, see below")
    advice = f"pip install --force-reinstall {name}; the whole error: python -c 'import {name}'"
    return Finding(name, value, "broken", advice)


def devices() -> Iterator[Finding]:
    """Where runs can compute, with memory and whether bf16 is fast there."""
    torch = imported_libraries()["torch"]
    cores = f"{os.cpu_count()} cores{_memory()}"
    if "error" in torch:
        yield Finding("cpu", cores)
        yield Finding("others", "not known: torch cannot be imported", "note")
        return
    yield Finding("cpu", f"{cores}; {_precision(torch['cpu_bf16'])}")
    for number, device in enumerate(torch["cuda"]):
        free, total = device["free"] / _GIGABYTE, device["total"] / _GIGABYTE
        found = f"{device['name']}, {free:.1f} of {total:.1f} GB free"
        yield Finding(f"cuda:{number}", f"{found}; {_precision(device['bf16'])}")
    if torch["mps"]:
        yield Finding("mps", "Apple's graphics; fp32")
    if torch["cuda_version"] and not torch["cuda"]:
        advice = "if there is one, look at its driver: nvidia-smi, CUDA_VISIBLE_DEVICES"
        yield Finding("cuda", "torch is built for CUDA, but sees no device", "note", advice)


def _precision(bf16: bool) -> str:
    """What a run computes in, if its config leaves it to us."""
    return "bf16" if bf16 else "no bf16: fp32"


def _memory() -> str:
    """The machine's memory, where the system tells it."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ""
    return f", {size / _GIGABYTE:.1f} GB of memory"
