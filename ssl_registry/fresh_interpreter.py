"""Modules of ours that are run in a fresh interpreter, where what they meet can do no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


class NotDoneError(Exception):
    """The interpreter was stopped because it took too long."""


def run_module(
    module: str, arguments: Sequence[str], *, options: Sequence[str] = (), limit: float = 120.0
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m module arguments` with this interpreter and its module path.

    Raises:
        NotDoneError: It took longer than `limit` seconds.
    """
    # The folder we are in must not come first, as `-m` would have it.
    flags = ["-P", "-S"] if sys.flags.no_site else ["-P"]
    command = [sys.executable, *flags, *options, "-m", module, *arguments]
    path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    try:
        return subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotDoneError(f"not done after {limit:.0f} s") from error
