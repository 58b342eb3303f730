"""Which test images a gallery shows, however many labels there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import create
from ssl_registry.data.load import LoadedData, load_data
from ssl_registry.training.testing import choose_places, masked_places

LABELS = 11


@pytest.fixture
def data(tmp_path: Path) -> LoadedData:
    """A folder for each patient, as `image_folder` takes for labels."""
    generator = np.random.default_rng(0)
    for patient in range(LABELS):
        folder = tmp_path / "scans" / f"patient{patient:02}"
        folder.mkdir(parents=True)
        for scan in range(10):
            image = generator.integers(0, 255, (20, 20), dtype=np.uint8)
            PillowImage.fromarray(image).save(folder / f"{scan}.png")
            PillowImage.fromarray((image > 100).astype(np.uint8) * 255).save(
                folder / f"{scan}_mask.png"
            )
    dataset = create(
        "dataset", "image_folder", root=tmp_path / "scans", split={"kind": "stratified"}
    )
    return load_data(dataset.config, size=16, channels=1, masks=True)


@pytest.mark.parametrize("count", [1, 7, 9, LABELS, 40])
def test_of_many_labels_some_are_shown(data: LoadedData, count: int) -> None:
    places = masked_places(data, "test")
    labels = {data.samples[place].label for place in places}
    assert len(labels) == LABELS
    dice = {data.samples[place].id: float(n) for n, place in enumerate(places)}
    chosen = choose_places(data, places, dice, count)
    assert len(set(chosen)) == len(chosen) and set(chosen) <= set(places.tolist())
    shown = {data.samples[place].label for place in chosen}
    assert len(shown) == min(count, LABELS)
