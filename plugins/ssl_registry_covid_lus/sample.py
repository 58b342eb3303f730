"""A tiny generated release of the lung recordings, to check the dataset on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from ssl_registry_covid_lus.config import CovidLusConfig
from ssl_registry_covid_lus.metadata import FILE_NAME, LICENCE, LOCATION, PATIENT, SOURCE

HEIGHT, WIDTH, FRAMES = 24, 32, 3
LABELS: Final = ("Cov", "Pneu", "Reg", "Vir")
RECORDINGS = 5
"""Recordings of each label; the first two are of one patient, and the last one is a video."""


def write_release(root: Path, seed: int) -> CovidLusConfig:
    """Write pictures and short videos of two probes, with their metadata."""
    generator = np.random.default_rng(seed)
    rows = []
    for number, label in enumerate(LABELS):
        probe = ("convex", "linear")[number % 2]
        for recording in range(RECORDINGS):
            is_video = recording == RECORDINGS - 1
            folder = Path("pocus_videos" if is_video else "pocus_images") / probe
            name = f"{label}_case_{recording}"
            (root / folder).mkdir(parents=True, exist_ok=True)
            shape = (FRAMES if is_video else 1, HEIGHT, WIDTH)
            first, *others = (
                PillowImage.fromarray(frame)
                for frame in generator.integers(0, 256, shape, dtype=np.uint8)
            )
            if is_video:
                target = root / folder / f"{name}.gif"
                first.save(target, save_all=True, append_images=others, duration=40)
            else:
                first.save(root / folder / f"{name}.png")
            patient = f"{label}{max(1, recording)}"
            rows.append((f"data/{folder.as_posix()}", name, "generated", "CC0 1.0", patient))
    with (root / "dataset_metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([(LOCATION, FILE_NAME, SOURCE, LICENCE, PATIENT), *rows])
    return CovidLusConfig(root=root)
