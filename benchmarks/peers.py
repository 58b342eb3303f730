"""Epochs of SimCLR by this library, by lightly and by a plain torchvision loop, in turn.

    python benchmarks/peers.py --data DATA --json peers.json

All see the same files (BUSI's training images enlarged to about 500 px, as users have them), the
same network, batch and number of threads. The pictures are gray: ours reads them so and hands the
network three equal channels, the peers augment three (`--colour`: all do). Every contender lives
in a process of its own and they take turns, one epoch each, so that what disturbs the machine
disturbs them alike. Printed are medians, and the median over rounds of each peer's time divided
by ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

CONTENDERS = {
    "ours, fp32": ["ours", "--precision", "fp32"],
    "ours, fp32, little memory": ["ours", "--precision", "fp32"],
    "ours, default": ["ours", "--precision", "auto"],
    "lightly, no workers": ["lightly", "--precision", "fp32"],
    "lightly, 2 persistent workers": ["lightly", "--precision", "fp32", "--workers", "2"],
    "torchvision, no workers": ["torchvision", "--precision", "fp32"],
    "torchvision, 2 persistent workers": ["torchvision", "--precision", "fp32", "--workers", "2"],
}
ENVIRONMENTS = {"ours, fp32, little memory": {"MALLOC_MMAP_THRESHOLD_": "4194304"}}
"""What some contenders' processes are told beside; with it the library leaves glibc alone."""


@dataclass
class Contender:
    """A process that runs an epoch when asked to."""

    name: str
    process: subprocess.Popen[str]
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0

    def ask(self, line: str) -> dict[str, float]:
        """Send a line (none if empty) and read one answer."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        if line:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended with exit status {self.process.wait()}")
        given: dict[str, float] = json.loads(answer)
        return given

    def turn(self) -> None:
        """Run one epoch."""
        self.seconds.append(self.ask("epoch\n")["seconds"])

    def close(self) -> None:
        """Let it say what memory it used, and end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.memory = self.ask("")["memory_gib"]
        self.process.wait()


def enlarged(source: Path, target: Path, side: int, images: int) -> int:
    """Write the pictures of BUSI with a longer side of `side` px; gives their number."""
    files = sorted(path for path in source.rglob("*.png") if "_mask" not in path.name)
    chosen = files[:: max(1, len(files) // images)][:images]
    for number, path in enumerate(chosen):
        with Image.open(path) as image:
            scale = side / max(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(
                target / f"{number:05d}.png"
            )
    return len(chosen)


def race(names: list[str], arguments: list[str], rounds: int) -> list[Contender]:
    """All contenders, after `rounds` turns each."""
    script = Path(__file__).with_name("contenders.py")
    contenders = []
    for name in names:
        process = subprocess.Popen(
            [sys.executable, str(script), *CONTENDERS[name], *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENTS.get(name, {})},
        )
        contender = Contender(name, process)
        contender.ask("")  # one after the other: they must not warm up at the same time
        contenders.append(contender)
    for _ in range(rounds):
        for contender in contenders:
            contender.turn()
    for contender in contenders:
        contender.close()
    return contenders


def table(contenders: list[Contender], images: int) -> list[dict[str, object]]:
    """A row per contender: its epoch, its time over ours in both precisions, its memory."""
    rows: list[dict[str, object]] = []
    own = {c.name: c.seconds for c in contenders if c.name.startswith("ours")}
    for contender in contenders:
        row: dict[str, object] = {
            "contender": contender.name,
            "epoch_seconds": round(statistics.median(contender.seconds), 3),
            "images_per_second": round(images / statistics.median(contender.seconds), 1),
        }
        for name, seconds in own.items():
            ratios = [a / b for a, b in zip(contender.seconds, seconds, strict=True)]
            row[f"times {name}"] = round(statistics.median(ratios), 2)
            row[f"range {name}"] = f"{min(ratios):.2f} to {max(ratios):.2f}"
        row["peak_memory_gib"] = round(contender.memory, 2)
        rows.append(row)
    return rows


def main() -> None:
    """Run the race and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds busi/")
    parser.add_argument("--side", type=int, default=500, help="longer side of the files, px")
    parser.add_argument("--images", type=int, default=546)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--colour", action="store_true", help="ours augments three channels, as the peers do"
    )
    parser.add_argument("--rounds", type=int, default=5)
    usual = [name for name in CONTENDERS if name not in ENVIRONMENTS]
    parser.add_argument("--contenders", nargs="+", default=usual, choices=CONTENDERS)
    parser.add_argument("--json", type=Path, help="keep the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        os.environ["SSL_REGISTRY_CACHE"] = str(Path(folder) / "cache")
        count = enlarged(options.data / "busi", files, options.side, options.images)
        steps = count // options.batch_size
        arguments = ["--data", str(files)]
        for key in ("backbone", "image_size", "batch_size", "device"):
            arguments += [f"--{key.replace('_', '-')}", str(getattr(options, key))]
        arguments += ["--colour"] * options.colour
        contenders = race(options.contenders, arguments, options.rounds)
    rows = table(contenders, steps * options.batch_size)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    if options.json:
        settings = {key: str(value) for key, value in vars(options).items()}
        seconds = {contender.name: contender.seconds for contender in contenders}
        text = json.dumps({"settings": settings, "rows": rows, "seconds": seconds}, indent=2)
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
