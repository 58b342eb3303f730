"""Load a ResNet-50 with all checks and, in turn, do what the checks cannot do without.

    python benchmarks/weights_load.py --repeats 15

The plain way is `safetensors.torch.load_file` and one SHA-256 of the file. Ours reads the card,
does the same, compares names and shapes, and copies the tensors into a network that is there
already. Each kind runs in processes of its own too, to see what memory it takes at most.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from ssl_registry.build import build_backbone
from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.load import validate
from ssl_registry.nn import Trunk
from ssl_registry.weights.fit import fit
from ssl_registry.weights.importing import Origin, fresh_backbone, write_imported
from ssl_registry.weights.read import load_weights

CONFIG = validate(ImportConfig, {"backbone": "resnet50"}, "benchmark")


def write(folder: Path) -> None:
    """A folder of weights to load."""
    backbone = fresh_backbone(CONFIG)
    state = backbone.exported().state_dict()
    write_imported(folder, backbone, fit(state, state, "backbone"), CONFIG, Origin("-", "", "-"))


def plain(folder: Path) -> object:
    """The tensors, and the digest of their file."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    with file.open("rb") as stream:
        return tensors, hashlib.file_digest(stream, "sha256").hexdigest()


def into_network(folder: Path) -> Callable[[], object]:
    """Our loading into a network that is built beforehand."""
    trunk = Trunk(build_backbone(CONFIG.backbone, 3))
    return lambda: load_weights(trunk, folder, "encoder")


def anonymous_peak(kind: str, folder: Path) -> float:
    """MB of memory of its own (not of mapped files) that loading takes at most, over before.

    A process cannot ask for the peak of this part of its memory, so another looks on.
    """
    command = [sys.executable, __file__, "--only", kind, "--folder", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        before = peak = _anonymous(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
    return (peak - before) / 1024


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except (OSError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def only(kind: str, folder: Path) -> None:
    """Wait for a line, then load once; run by `anonymous_peak`."""
    load = into_network(folder) if kind == "ours" else lambda: plain(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    load()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the loading of weights.")
    parser.add_argument("--repeats", type=int, default=15, help="Loadings of each kind.")
    parser.add_argument("--only", choices=["plain", "ours"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only:
        only(arguments.only, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "weights"
        write(folder)
        size = (folder / "model.safetensors").stat().st_size / 2**20
        ours = into_network(folder)
        plain(folder), ours()  # so that the file is in the system's cache for both
        times = [(seconds(lambda: plain(folder)), seconds(ours)) for _ in range(arguments.repeats)]
        ratio = statistics.median(b / a for a, b in times)
        sys.stdout.write(
            f"{size:.0f} MB, {os.cpu_count()} cores, medians of {arguments.repeats}\n"
            f"plain  {statistics.median(a for a, _ in times):.3f} s, "
            f"own memory +{anonymous_peak('plain', folder):.0f} MB\n"
            f"ours   {statistics.median(b for _, b in times):.3f} s, "
            f"own memory +{anonymous_peak('ours', folder):.0f} MB\n"
            f"time   {ratio:.2f} times the plain way's (median of the pairs)\n"
        )


if __name__ == "__main__":
    main()
