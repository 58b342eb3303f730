"""How long the runner and the import take, as whole processes.

    python benchmarks/start_time.py

Each command runs once unmeasured, then in turn with the others; medians are printed beside that
of an interpreter that does nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNNER = str(Path(sys.executable).with_name("ssl-registry"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import ssl_registry": [sys.executable, "-c", "import ssl_registry"],
    "ssl-registry --help": [RUNNER, "--help"],
    "ssl-registry plugins list": [RUNNER, "plugins", "list"],
    "ssl-registry components": [RUNNER, "components"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for command in COMMANDS.values():
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    for name, values in times.items():
        median, worst = statistics.median(values), max(values)
        print(f"{name:28} median {median * 1e3:5.0f} ms   worst {worst * 1e3:5.0f} ms")


if __name__ == "__main__":
    main()
