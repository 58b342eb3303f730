"""Import libraries in this fresh process and say what became of each; see `libraries`.

python -m ssl_registry.doctor.import_libraries torch torchvision
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import Any

from ssl_registry.training.processor import multiplies_bf16


def main() -> None:
    """Import what the command line names, one JSON line each."""
    out = sys.stdout
    for name in sys.argv[1:]:
        with contextlib.redirect_stdout(sys.stderr):
            facts = _facts(name)
        out.write(json.dumps({"name": name, **facts}) + "\n")
        out.flush()  # the next import may end the process


def _facts(name: str) -> dict[str, Any]:
    try:
        module = importlib.import_module(name)
        facts = {"version": str(getattr(module, "__version__", ""))}
        return facts | _devices(module) if name == "torch" else facts
    except (Exception, SystemExit) as error:  # a broken library may raise anything
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _devices(torch: Any) -> dict[str, Any]:
    """What torch says of the machine."""
    cuda = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        with torch.cuda.device(index):
            free, total = torch.cuda.mem_get_info()
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name(index)
        cuda.append({"name": name, "free": free, "total": total, "bf16": bf16})
    return {
        "cuda_version": torch.version.cuda or "",
        "cudnn_version": str(torch.backends.cudnn.version() or ""),
        "cpu_bf16": multiplies_bf16(getattr(torch, "cpu", None)),
        "cuda": cuda,
        "mps": torch.backends.mps.is_available(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
