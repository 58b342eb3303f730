"""How many images are shown at a time: as many as before where they are small, few large ones."""

from __future__ import annotations

import pytest

from ssl_registry.evaluation.portions import portion, portions


@pytest.mark.parametrize(
    ("most", "side", "count"),
    [(64, 32, 64), (64, 256, 64), (64, 257, 63), (64, 512, 16), (256, 224, 83), (8, 5000, 1)],
)
def test_a_portion_holds_so_many_pixels(most: int, side: int, count: int) -> None:
    assert portion(most, side) == count
    assert count * side**2 <= 2**22 or count == 1


def test_portions_are_all_images_once() -> None:
    places = [place for part in portions(70, 64, 512) for place in range(70)[part]]
    assert places == list(range(70))
    assert list(portions(0, 64, 512)) == []
