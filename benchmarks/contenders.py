"""One contender of `peers.py`, in a process of its own.

It warms up with one epoch, says "ready", and then runs one epoch for every line it reads, and
answers with its seconds; so contenders can take turns while the others wait. At the end of its
input it says how much memory it used.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def ours(options: argparse.Namespace) -> None:
    """A pre-training by this library, held at the end of each epoch until it is its turn again."""
    import ssl_registry

    class Turns:
        """Runs in the main thread, as the run does: glibc serves other threads otherwise."""

        def __init__(self) -> None:
            self._began: float | None = None

        def epoch_ended(self, run: Path, epoch: int, row: Any) -> None:
            finish(self._began)
            self._began = await_turn()

    data = {"name": "image_folder", "root": options.data, "masks": "none"}
    table = {
        "image_size": options.image_size,
        "method": options.method,
        "backbone": options.backbone,
        "data": [{**data, "channels": 3 if options.colour else 1}],
        "parts": ["train", "val", "test"],
        "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
        "training": {
            "epochs": 1_000_000,
            "batch_size": options.batch_size,
            "checkpoint_seconds": 1e9,
            "precision": options.precision,
            "device": options.device,
            "optimizer": {"name": "sgd", "learning_rate": 1e-6, "warmup_epochs": 0},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        ssl_registry.pretrain(table, Path(folder) / "run", observers=[Turns()])


def peer(options: argparse.Namespace) -> None:
    """The usual loop of PyTorch over a loader, with lightly's parts or torchvision's alone."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    files = sorted(str(path) for path in Path(options.data).rglob("*.png"))
    build = _lightly if options.contender.startswith("lightly") else _plain
    network, loss_of, transform = build(options)
    device = torch.device(options.device)
    network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9)

    class Files(Dataset[Any]):
        """The images, read anew each time, as torchvision's ImageFolder does."""

        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, place: int) -> Any:
            from PIL import Image

            with Image.open(files[place]) as image:
                return transform(image.convert("RGB"))

    loader = DataLoader(
        Files(),
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        pin_memory=device.type == "cuda",
    )
    network.train()
    began = None
    while True:
        for views in loader:
            first, second = (view.to(device, non_blocking=True) for view in views[:2])
            with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
                loss = loss_of(network(first), network(second))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        finish(began)
        began = await_turn()


def _encoder(options: argparse.Namespace) -> tuple[Any, int]:
    import torchvision
    from torch import nn

    encoder = getattr(torchvision.models, options.backbone)(weights=None)
    width = encoder.fc.in_features
    encoder.fc = nn.Identity()
    return encoder, width


def _lightly(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Network, loss and transform as in lightly's SimCLR example."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from torch import nn

    encoder, width = _encoder(options)
    network = nn.Sequential(encoder, SimCLRProjectionHead(width, width, 128))
    return network, NTXentLoss(temperature=0.5), SimCLRTransform(input_size=options.image_size)


def _plain(options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """The same with torchvision's transforms and a loss of six lines."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torchvision.transforms import v2

    encoder, width = _encoder(options)
    head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 128))
    blur = v2.GaussianBlur(max(3, options.image_size // 10 | 1), (0.1, 2.0))
    view = v2.Compose(
        [
            v2.RandomResizedCrop(options.image_size, scale=(0.08, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomApply([blur], p=0.5),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def loss_of(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
        z = F.normalize(torch.cat([z1, z2]).float(), dim=1)
        logits = z @ z.T / 0.5
        logits.fill_diagonal_(-torch.inf)
        other = torch.arange(len(z), device=z.device).roll(len(z1))
        return F.cross_entropy(logits, other)

    return nn.Sequential(encoder, head), loss_of, lambda image: (view(image), view(image))


def memory() -> float:
    """Peak resident memory of this process, without its workers, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Take turns until there are no more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("--data", required=True)
    parser.add_argument("--method", default="simclr")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--colour", action="store_true")
    options = parser.parse_args()
    (ours if options.contender == "ours" else peer)(options)


def finish(began: float | None) -> None:
    """Tell how long the epoch took; the first one warms up."""
    answer({"ready": True} if began is None else {"seconds": time.perf_counter() - began})


def await_turn() -> float:
    """Wait for a line, and start the clock; without one, tell the memory used and end."""
    if not sys.stdin.readline():
        answer({"memory_gib": memory()})
        os._exit(0)  # in the middle of a run that has no end
    return time.perf_counter()


def answer(message: dict[str, object]) -> None:
    """One line of JSON for whoever hands out the turns."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
