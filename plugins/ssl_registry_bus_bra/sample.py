"""A tiny generated release of BUS-BRA, to check the dataset on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from ssl_registry_bus_bra.config import BusBraConfig

HEIGHT, WIDTH = 11, 16
HEADER: Final = "ID,Case,Histology,Pathology,BIRADS,Device,Width,Height,Side,BBOX"
ROWS: Final = tuple(
    f"bus_{case:04d}-{side[0]},{case},Unknown,{('benign', 'malignant')[case % 2]},{2 + case % 4},"
    f'GE Logiq 5,{WIDTH},{HEIGHT},{side},"[3, 2, 4, 3]"'
    for case in range(1, 21)
    for side in (("left", "right") if case % 3 else ("single",))
)


def write_release(root: Path, seed: int, rows: Sequence[str] = ROWS) -> BusBraConfig:
    """Write the table, and a picture with its mask for each of its rows."""
    generator = np.random.default_rng(seed)
    folder = root / "BUSBRA"
    for name in ("Images", "Masks"):
        (folder / name).mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:5, 3:7] = 255
    for row in rows:
        name = row.partition(",")[0]
        picture = generator.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        PillowImage.fromarray(picture).save(folder / "Images" / f"{name}.png")
        mask_file = folder / "Masks" / f"mask_{name.removeprefix('bus_')}.png"
        PillowImage.fromarray(mask).convert("1").save(mask_file)
    text = "\r\n".join((HEADER, *reversed(rows), ""))
    (folder / "bus_data.csv").write_text(text, encoding="utf-8", newline="")
    return BusBraConfig(root=root)
