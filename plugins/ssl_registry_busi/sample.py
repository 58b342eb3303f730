"""A tiny generated release of BUSI, to check the dataset on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from ssl_registry_busi.config import BusiConfig

HEIGHT, WIDTH = 12, 17
NAMES: Final = (
    *(f"benign ({number})" for number in (1, 2, 3, 4, 5, 10)),
    *(f"malignant ({number})" for number in range(1, 5)),
    *(f"normal ({number})" for number in range(1, 4)),
)


def write_release(root: Path, seed: int, names: Sequence[str] = NAMES) -> BusiConfig:
    """Write a colour picture and its masks for each name; `benign (10)` has three masks."""
    generator = np.random.default_rng(seed)
    for name in names:
        label = name.partition(" ")[0]
        stem = root / "Dataset_BUSI_with_GT" / label / name
        stem.parent.mkdir(parents=True, exist_ok=True)
        picture = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        PillowImage.fromarray(picture).save(f"{stem}.png")
        if label == "normal":
            _save_mask(f"{stem}_mask.png", np.zeros((HEIGHT, WIDTH), np.uint8), "RGB")
            continue
        _save_mask(f"{stem}_mask.png", box(2, 3), "1")
        if name == "benign (10)":
            _save_mask(f"{stem}_mask_1.png", box(6, 3), "L")
            _save_mask(f"{stem}_mask_2.png", box(4, 10), "L")
    return BusiConfig(root=root)


def box(top: int, left: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A mask of 0 with a box of 255."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : top + 3, left : left + 4] = 255
    return mask


def _save_mask(path: str, mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], mode: str) -> None:
    PillowImage.fromarray(mask).convert(mode).save(path)
