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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

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


def peaks(kind: str, folder: Path) -> tuple[float, float]:
    """MB that loading takes at most, over before: memory of its own, and pages of mapped files.

    A process cannot ask for the peaks of these parts of its memory, so another looks on.
    """
    command = [sys.executable, __file__, "--only", kind, "--folder", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        before = most = _memory(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        while process.poll() is None:
            now = _memory(process.pid)
            most = max(most[0], now[0]), max(most[1], now[1])
    return (most[0] - before[0]) / 1024, (most[1] - before[1]) / 1024


def _memory(pid: int) -> tuple[int, int]:
    """Kilobytes of its own and of mapped files."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0, 0
    found = dict(line.split(":", 1) for line in lines if line.startswith("Rss"))
    own, mapped = (int(found.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssFile"))
    return own, mapped


def only(kind: str, folder: Path) -> None:
    """Wait for a line, then load once; run by `peaks`."""
    load = into_network(folder) if kind == "ours" else lambda: plain(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    load()


class Times(NamedTuple):
    """Seconds that one loading took."""

    wall: float
    cpu: float


def measure(work: Callable[[], object]) -> Times:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def row(kind: str, times: Sequence[Times], folder: Path) -> str:
    """A line of the table: medians, and the peaks of one more loading."""
    wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    own, mapped = peaks(kind, folder)
    return f"{kind:6} {wall:7.3f} {cpu:7.3f} {own:15.0f} {mapped:9.0f}\n"


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
        pairs = [(measure(lambda: plain(folder)), measure(ours)) for _ in range(arguments.repeats)]
        del pairs[0]  # by then the file is in the system's cache for both
        wall = statistics.median(b.wall / a.wall for a, b in pairs)
        cpu = statistics.median(b.cpu / a.cpu for a, b in pairs)
        sys.stdout.write(
            f"{size:.0f} MB, {os.cpu_count()} cores\n"
            f"{'':6} {'wall s':>7} {'CPU s':>7} {'own memory MB':>15} {'mapped MB':>9}\n"
            + row("plain", [a for a, _ in pairs], folder)
            + row("ours", [b for _, b in pairs], folder)
            + f"ours: {wall:.2f} times the plain way's time, {cpu:.2f} times its CPU time\n"
        )


if __name__ == "__main__":
    main()
