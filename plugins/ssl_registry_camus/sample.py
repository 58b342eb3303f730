"""A tiny generated release of CAMUS, to check the dataset on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np

from ssl_registry_camus.config import PHASES, VIEWS, CamusConfig

HEIGHT, WIDTH = 9, 14
PARTS: Final = {"training": (1, 3), "validation": (10,), "testing": (2,)}
"""The numbers of each part's patients."""


def write_release(
    root: Path, seed: int, parts: Mapping[str, tuple[int, ...]] = PARTS
) -> CamusConfig:
    """Write four frames with masks for each patient, and the lists of the three parts."""
    generator = np.random.default_rng(seed)
    lists = root / "database_split"
    lists.mkdir(parents=True)
    for part, numbers in parts.items():
        names = [f"patient{number:04d}" for number in numbers]
        (lists / f"subgroup_{part}.txt").write_text("\n".join(names), encoding="utf-8")
        for name in names:
            for view in VIEWS:
                for phase in PHASES:
                    stem = root / "database_nifti" / name / f"{name}_{view}_{phase}"
                    frame = generator.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
                    _write(stem.with_name(f"{stem.name}.nii.gz"), frame)
                    _write(stem.with_name(f"{stem.name}_gt.nii.gz"), labels())
    return CamusConfig(root=root)


def labels() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A mask of all three structures."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:4, 2:6] = 1
    mask[1:4, 6] = 2
    mask[5:8, 3:5] = 3
    return mask


def _write(path: Path, picture: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Write a picture as the release does: the horizontal axis comes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    across = nibabel.Nifti1Image(picture.T, np.diag([0.3, 0.15, 1, 1]))  # type: ignore[no-untyped-call]
    nibabel.save(across, path)
