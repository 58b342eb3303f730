"""What this machine has: cores, and GPUs that a worker may be given."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that may be used, as `CUDA_VISIBLE_DEVICES` names them; none without a driver.

    The driver's own tool is asked, so that this process need not import torch.
    """
    if VISIBLE in environment:
        names = [name.strip() for name in environment[VISIBLE].split(",")]
        # As CUDA reads it: what comes after a name that is none is not seen.
        return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip().isdecimal()]
