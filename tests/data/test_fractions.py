from __future__ import annotations

import random
from collections import Counter

import pytest

from ssl_registry.data.fractions import labelled_fraction
from ssl_registry.interfaces.dataset import Sample


def labelled(sizes: dict[str | None, int]) -> list[Sample]:
    return [
        Sample(f"{label} ({number})", label=label)
        for label, size in sizes.items()
        for number in range(size)
    ]


TRAIN = labelled({"benign": 306, "malignant": 147, "normal": 93})


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 546), (0.5, 273), (0.25, 137), (0.1, 55)])
def test_published_counts(fraction: float, count: int) -> None:
    assert len(labelled_fraction(TRAIN, fraction, 0)) == count


def test_counts_are_rounded_half_up_as_decimals() -> None:
    ten = labelled({"a": 10})
    # 0.35 as a double is below 0.35, and half to even would give 2 for 0.25.
    assert [len(labelled_fraction(ten, f, 0)) for f in (0.05, 0.25, 0.35, 0.45)] == [1, 3, 4, 5]
    assert len(labelled_fraction(ten, 0.01, 0)) == 1
    assert labelled_fraction([], 0.5, 0) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "sizes",
    [
        {"benign": 306, "malignant": 147, "normal": 93},
        {"a": 50, "b": 50, "c": 50},
        {"a": 97, "b": 2, "c": 1},
        {None: 30, "a": 11},
    ],
)
def test_every_smaller_fraction_is_part_of_every_larger_one(
    sizes: dict[str | None, int], seed: int
) -> None:
    samples = labelled(sizes)
    total = len(samples)
    before: set[str] = set()
    for percent in range(1, 101):
        taken = labelled_fraction(samples, percent / 100, seed)
        ids = {sample.id for sample in taken}
        assert before <= ids
        before = ids
        counts = Counter(sample.label for sample in taken)
        for label, size in sizes.items():
            assert abs(counts[label] - len(taken) * size / total) <= 1
    assert len(before) == total


def test_order_given_is_kept_and_decides_nothing() -> None:
    shuffled = random.Random(0).sample(TRAIN, len(TRAIN))
    taken = labelled_fraction(shuffled, 0.25, 7)
    places = [shuffled.index(sample) for sample in taken]
    assert places == sorted(places)
    assert set(s.id for s in taken) == {s.id for s in labelled_fraction(TRAIN, 0.25, 7)}


def test_seed_decides() -> None:
    first, second = (labelled_fraction(TRAIN, 0.1, seed) for seed in (0, 1))
    assert first != second
    assert first == labelled_fraction(TRAIN, 0.1, 0)


def test_choice_of_a_seed_never_changes() -> None:
    # Recorded once: runs of other releases and machines must learn from the same images.
    samples = [Sample(f"{n:03}", label="ab"[n % 2]) for n in range(200)]
    taken = " ".join(sample.id for sample in labelled_fraction(samples, 0.05, 0))
    assert taken == "007 010 018 035 041 111 130 131 140 160"


def test_classes_of_one_size_are_equally_likely_to_come_first() -> None:
    samples = labelled({"a": 5, "b": 5})
    first = Counter(labelled_fraction(samples, 0.1, seed)[0].label for seed in range(400))
    assert 150 < first["a"] < 250  # 200 expected, standard deviation 10


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        labelled_fraction(TRAIN, fraction, 0)
