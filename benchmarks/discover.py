"""How long the runner and the import take, as whole processes.

    python benchmarks/discover.py
    python benchmarks/discover.py --foreign 20

Each command runs once unmeasured, then in turn with the others; medians of wall and processor time
are printed beside that of an interpreter that does nothing. With `--foreign N` they run in an
environment of their own, which sees this one's packages and into which pip installs this library,
as its users do, and N generated plugins, each a distribution with a method and a preset.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

WORDS = ((), ("--help",), ("plugins", "list"), ("components",), ("data", "list"))

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "foreign-{number}"
version = "1.{number}"
description = "A plugin that somebody else has published."
dependencies = ["ssl-registry>=0.1"]

[project.entry-points.ssl_registry]
foreign_{number} = "foreign_{number}"

[tool.hatch.build.targets.wheel]
packages = ["foreign_{number}"]
"""

MODULE = '''"""A plugin that somebody else has published."""

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    yield Component(
        kind="method",
        name="foreign-{number}",
        factory="foreign_{number}.method:Foreign",
        config="foreign_{number}.config:ForeignConfig",
        summary="Made up to be listed",
    )
    yield Component(kind="preset", name="foreign-{number}", factory="foreign_{number}:p.toml")
'''


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Wall time and processor time of one process."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return time.perf_counter() - began, processor


def with_foreign_plugins(folder: Path, count: int) -> str:
    """Make an environment with `count` generated plugins; gives its interpreter."""
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    # The bare path: the path files in there are left out, such as that of an editable install.
    shared = Path(site.stdout.strip()) / "shared.pth"
    shared.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    sources = [_source(folder / f"foreign-{number}", number) for number in range(count)]
    sources.append(Path(__file__).resolve().parents[1])
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    options = ["--no-build-isolation", "--ignore-installed"]
    subprocess.run([*install, *options, *map(str, sources)], check=True, cwd="/")
    return str(python)


def _source(folder: Path, number: int) -> Path:
    """Write the source of one plugin."""
    package = folder / f"foreign_{number}"
    package.mkdir(parents=True)
    project = PROJECT.replace("{number}", str(number))
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    module = MODULE.replace("{number}", str(number))
    (package / "__init__.py").write_text(module, encoding="utf-8")
    return folder


def commands(python: str) -> dict[str, list[str]]:
    """What is measured, by its name."""
    runner = [python, "-P", "-c", "from ssl_registry.cli import main; main()"]
    return {
        "python -c pass": [python, "-c", "pass"],
        "import ssl_registry": [python, "-c", "import ssl_registry"],
        **{" ".join(("ssl-registry", *words)): [*runner, *words] for words in WORDS},
    }


def measure(measured: dict[str, list[str]], rounds: int) -> None:
    """Measure in turn and print a table."""
    for command in measured.values():
        seconds(command)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, command in measured.items():
            times[name].append(seconds(command))
    idle = statistics.median(wall for wall, _ in times["python -c pass"])
    for name, values in times.items():
        walls, processors = zip(*values, strict=True)
        median, processor = statistics.median(walls), statistics.median(processors)
        print(
            f"{name:26} median {median * 1e3:4.0f} ms   best {min(walls) * 1e3:4.0f}   "
            f"worst {max(walls) * 1e3:4.0f}   processor {processor * 1e3:4.0f}   "
            f"{median / idle:4.1f} x an idle interpreter"
        )


def main() -> None:
    """Measure here, or in an environment with foreign plugins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--foreign", type=int, default=0, help="plugins to generate and install")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = sys.executable
        if arguments.foreign:
            python = with_foreign_plugins(Path(folder), arguments.foreign)
        measure(commands(python), arguments.rounds)


if __name__ == "__main__":
    main()
