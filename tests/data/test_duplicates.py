from __future__ import annotations

import csv
import io
import itertools
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

from ssl_registry.config.model import DatasetConfig
from ssl_registry.data.cluster_file import kept_clusters
from ssl_registry.data.duplicate_search import search_duplicates
from ssl_registry.data.duplicates import (
    DuplicatePair,
    apart,
    clusters,
    dataset_clusters,
    find_duplicates,
)
from ssl_registry.data.registration import Match
from ssl_registry.data.thumbnails import gray_detail, thumbnails
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Sample
from ssl_registry.registry import config_model, factory

Scan = NDArray[np.uint8]


def scan(anatomy: int, speckle: int, shape: tuple[int, int] = (160, 176)) -> Scan:
    """Smooth anatomy of that number, seen through the speckle of the other number."""
    smooth = gaussian_filter(np.random.default_rng(anatomy).standard_normal(shape), 10)
    waves = np.random.default_rng(1000 + speckle).standard_normal((2, *shape))
    envelope = np.hypot(*gaussian_filter(waves, (0, 1.3, 1.8)))
    bright = (70 + 40 * smooth / smooth.std()).clip(15, None)
    return (bright * envelope / envelope.mean()).clip(0, 255).astype(np.uint8)


def jpeg(image: Scan) -> Scan:
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, format="JPEG", quality=40)
    return np.asarray(PillowImage.open(file))


def brighter(image: Scan) -> Scan:
    return (230 * (image / 255) ** 0.7 + 12).clip(0, 255).astype(np.uint8)


def cropped(image: Scan) -> Scan:
    """Without a strip of a twentieth at each side, saved at the old size."""
    height, width = image.shape
    inner = PillowImage.fromarray(image[height // 20 : -height // 20, width // 20 : -width // 20])
    return np.asarray(inner.resize((width, height), PillowImage.Resampling.BICUBIC))


def annotated(image: Scan) -> Scan:
    """With calipers, a line of text and the maker's mark."""
    marked = image.copy()
    height, width = image.shape
    marked[height // 3, width // 4 : width // 2] = 255
    marked[height // 4 : height // 2, width // 3] = 255
    marked[-18:-8, 10:70:4] = 255
    marked[4:12, 4:12] = 0
    return marked


def smaller(image: Scan) -> Scan:
    height, width = image.shape
    return np.asarray(PillowImage.fromarray(image).resize((width * 5 // 6, height * 5 // 6)))


def shifted(image: Scan) -> Scan:
    """As cut out of the screen a little further up and to the left."""
    return np.roll(image, (5, 4), (0, 1))


CHANGES: dict[str, tuple[Callable[[Scan], Scan], str]] = {
    "jpeg": (jpeg, "copy"),
    "brighter": (brighter, "copy"),
    "cropped": (cropped, "cropped"),
    "annotated": (annotated, "copy"),
    "smaller": (smaller, "copy"),
    "shifted": (shifted, "cropped"),
    "mirrored": (lambda image: image[:, ::-1], "copy, mirrored"),
    "mirrored, brighter": (lambda image: brighter(image)[:, ::-1], "copy, mirrored"),
    "upside down": (lambda image: image[::-1], "copy, upside down"),
    "same": (lambda image: image.copy(), "identical"),
}


def found_among(images: Sequence[Scan], **settings: object) -> list[DuplicatePair]:
    return find_duplicates(
        thumbnails(images),
        lambda place: gray_detail(images[place]),
        **settings,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def planted() -> tuple[list[Scan], list[DuplicatePair]]:
    """For each change a scan, a changed copy, and a scan of the same anatomy at another time."""
    images = []
    for number, (change, _) in enumerate(CHANGES.values()):
        first = scan(number, number)
        images += [first, change(first), scan(number, 100 + number)]
    return images, found_among(images)


def test_planted_duplicates_are_found_and_look_alikes_are_not(
    planted: tuple[list[Scan], list[DuplicatePair]],
) -> None:
    images, found = planted
    places = {(pair.first, pair.second): pair for pair in found}
    assert set(places) == {(3 * n, 3 * n + 1) for n in range(len(CHANGES))}
    relations = {name: places[3 * n, 3 * n + 1].relation for n, name in enumerate(CHANGES)}
    assert relations == {name: relation for name, (_, relation) in CHANGES.items()}
    scores = [pair.score for pair in found]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.55
    assert max(scores) == pytest.approx(1)

    # The look-alikes resemble their originals as much as the copies do, at 32 px.
    rows = thumbnails(images).reshape(len(images), -1).astype(float)
    alike = [np.corrcoef(rows[3 * n], rows[3 * n + 2])[0, 1] for n in range(len(CHANGES))]
    crop = list(CHANGES).index("cropped")
    assert min(alike) > np.corrcoef(rows[3 * crop], rows[3 * crop + 1])[0, 1] - 0.1


def test_mirrored_copies_are_found_only_if_wanted(
    planted: tuple[list[Scan], list[DuplicatePair]],
) -> None:
    images, every = planted
    found = found_among(images, flips=False)
    assert found == [pair for pair in every if pair.orientation == "upright"]


def test_threshold_and_limit(planted: tuple[list[Scan], list[DuplicatePair]]) -> None:
    images, every = planted
    some = found_among(images[:9], threshold=0.95)
    sure = [(p.first, p.second) for p in every if p.score >= 0.95 and p.second < 9]
    assert 0 < len(sure) < 3
    assert [(pair.first, pair.second) for pair in some] == sure
    assert len(found_among(images[:9], threshold=-0.9)) >= 3
    three = found_among(images[:9])
    assert len(three) == 3
    assert found_among(images[:9], limit=1) == [max(three, key=lambda pair: pair.likeness)]
    with pytest.raises(ValueError, match="threshold is 1"):
        found_among(images[:2], threshold=1.0)


def test_pairs_of_one_group_are_left_out(
    planted: tuple[list[Scan], list[DuplicatePair]],
) -> None:
    images, _ = planted
    groups = ["p", "p", "p", None, None, "q"]
    assert [(p.first, p.second) for p in found_among(images[:6], keep=apart(groups))] == [(3, 4)]


@pytest.mark.parametrize("side", [40, 70])
def test_small_images(side: int) -> None:
    images = [scan(n, n)[:side, :side] for n in range(8)]
    images += [scan(n, 50 + n)[:side, :side] for n in range(8)] + [jpeg(images[3])]
    assert [(p.first, p.second) for p in found_among(images)] == [(3, 16)]


def test_images_without_contrast_stand_alone() -> None:
    flat = [np.full((130, 130), value, np.uint8) for value in (0, 0, 77, 77, 255)]
    assert found_among(flat) == []
    assert found_among([]) == []


def test_images_that_are_all_alike_are_one_cluster() -> None:
    first = scan(0, 0)
    found = found_among([jpeg(first) if n % 2 else first for n in range(60)])
    assert len(found) == 60 * 59 // 2


def naive_clusters(pairs: Sequence[tuple[int, int]], count: int) -> list[int]:
    """The first member of each one's cluster, by relabelling until nothing changes."""
    first = list(range(count))
    changed = True
    while changed:
        changed = False
        for i, j in pairs:
            low = min(first[i], first[j])
            changed |= first[i] != low or first[j] != low
            first[i] = first[j] = low
    return first


@pytest.mark.parametrize("links", [0, 5, 20, 60])
def test_clusters_equal_the_naive_ones(links: int) -> None:
    draw = np.random.default_rng(links)
    pairs = [(int(i), int(j)) for i, j in draw.integers(0, 40, (links, 2))]
    assert clusters(40, pairs) == naive_clusters(pairs, 40)
    assert clusters(0, []) == []


class Pictures(Dataset):
    """Four pictures: the third repeats the first, larger; the second may be unreadable."""

    info = DatasetInfo("none", "none", "none", "none", "none")
    groups: tuple[str | None, ...] = (None, None, None, None)

    def samples(self) -> list[Sample]:
        names = ("first", "second", "third", "fourth")
        return [Sample(n, group=g) for n, g in zip(names, self.groups, strict=True)]

    def read_image(self, sample: Sample) -> Image:
        if sample.id == "second":
            raise DataError("second is damaged")
        if sample.id == "fourth":
            return scan(4, 4)
        first = scan(1, 1)
        return first if sample.id == "first" else np.kron(first, np.ones((2, 3), np.uint8))


def test_clusters_of_a_dataset() -> None:
    data = Pictures(DatasetConfig(name="pictures", skip_unreadable=True))
    expected = {"first": "first", "second": "second", "third": "first", "fourth": "fourth"}
    assert dataset_clusters(data, data.samples(), threads=2) == expected
    assert dataset_clusters(data, []) == {}
    strict = Pictures(DatasetConfig(name="pictures"))
    with pytest.raises(DataError, match="second is damaged"):
        dataset_clusters(strict, strict.samples())


def test_clusters_keep_groups_together() -> None:
    data = Pictures(DatasetConfig(name="pictures", skip_unreadable=True))
    data.groups = ("p", None, None, "p")
    expected = {"first": "first", "second": "second", "third": "first", "fourth": "first"}
    assert dataset_clusters(data, data.samples()) == expected
    data.groups = ("p", None, "p", None)
    assert dataset_clusters(data, data.samples())["third"] == "first"


@pytest.mark.parametrize("error", [OSError("gone"), SyntaxError("broken PNG"), zlib.error("-3")])
def test_what_a_reader_raises_is_the_file_s_fault(error: Exception) -> None:
    class Damaged(Pictures):
        def read_image(self, sample: Sample) -> Image:
            if sample.id == "second":
                raise error
            return super().read_image(sample)

    skipping = Damaged(DatasetConfig(name="pictures", skip_unreadable=True))
    assert dataset_clusters(skipping, skipping.samples())["second"] == "second"
    strict = Damaged(DatasetConfig(name="pictures"))
    with pytest.raises(DataError, match=f"'second' .* cannot be read: {error}"):
        dataset_clusters(strict, strict.samples())


@pytest.mark.data
def test_near_duplicates_of_busi(data_root: Path, close_comparisons: list[Match]) -> None:
    found = search_duplicates([config_model("dataset", "busi")(root=data_root / "busi")])
    ids = [item.sample.id for item in found.items]
    assert len(found.pairs) <= len(close_comparisons) < len(ids) * (len(ids) - 1) / 2 / 500
    pairs = {frozenset((ids[pair.first], ids[pair.second])) for pair in found.pairs}

    dataset = found.items[0].dataset
    rows = thumbnails([dataset.read_image(item.sample) for item in found.items])
    correlations = np.corrcoef(rows.reshape(len(ids), -1).astype(float))
    near = np.argwhere(np.triu(correlations > 0.99, 1))
    assert len(near) == 115
    assert sum(frozenset((ids[i], ids[j])) in pairs for i, j in near) >= 110
    # All that are far from identical at large are beyond doubt in detail.
    assert 220 <= len(pairs) <= 250
    for pair in found.pairs:
        assert pair.score > 0.6 or correlations[pair.first, pair.second] > 0.7

    members: defaultdict[int, set[str]] = defaultdict(set)
    for name, cluster in zip(ids, found.cluster, strict=True):
        members[cluster].add(name)
    with (data_root / "busi" / "near_duplicate_groups_corr099.csv").open() as file:
        listed: defaultdict[str, set[str]] = defaultdict(set)
        for row in csv.DictReader(file):
            listed[row["group"]].add(row["image"])
    assert len(listed) == 80
    assert sum(any(group <= some for some in members.values()) for group in listed.values()) >= 78
    for one, other in (
        ("benign (433)", "malignant (145)"),
        ("benign (437)", "normal (34)"),
        ("benign (269)", "normal (1)"),
    ):
        assert frozenset((one, other)) in pairs
    assert len({pair.score for pair in found.pairs}) > 200


@pytest.mark.data
def test_the_acquisition_that_camus_holds_twice(data_root: Path) -> None:
    config = config_model("dataset", "camus")(root=data_root / "camus")
    data = factory("dataset", "camus")(config)
    samples = [s for s in data.samples() if s.group and 20 <= int(s.group[-4:]) <= 80]
    assert len(samples) == 244
    images = [data.read_image(sample) for sample in samples]
    found = found_among(images, keep=apart([sample.group for sample in samples]), crops=False)
    groups = {frozenset((samples[p.first].group, samples[p.second].group)) for p in found}
    assert groups == {frozenset(("patient0033", "patient0068"))}
    assert len(found) == 4


def test_search_over_sets_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set 1 holds scans 0 to 3, the last within a group; set 2 scans 3, 2 and 9."""

    class Scans(Dataset):
        info = DatasetInfo("none", "none", "none", "none", "none")

        def samples(self) -> list[Sample]:
            one = self.config.name == "one"
            numbers = (0, 1, 2, 3, 3) if one else (3, 2, 9)
            samples = [Sample(f"{n} {k}", str(n), split="train") for k, n in enumerate(numbers)]
            if one:
                samples[3:] = [replace(sample, group="g") for sample in samples[3:]]
            samples[-1] = replace(samples[-1], split="test")
            return samples

        def read_image(self, sample: Sample) -> Image:
            return scan(number := int(sample.id[0]), number)

    monkeypatch.setattr("ssl_registry.data.duplicate_search.build_dataset", Scans)
    configs = [DatasetConfig(name="one"), DatasetConfig(name="two")]

    def pairs(**settings: object) -> set[tuple[str, str]]:
        found = search_duplicates(configs, **settings)  # type: ignore[arg-type]
        assert not found.within_groups or "within_groups" in settings
        return {
            (f"{found.items[p.first].name} {found.items[p.first].sample.id}",
             f"{found.items[p.second].name} {found.items[p.second].sample.id}")
            for p in found.pairs
        }  # fmt: skip

    expected = {("one 3 3", "two 3 0"), ("one 3 4", "two 3 0"), ("one 2 2", "two 2 1")}
    assert pairs() == expected
    assert pairs(between="sets") == expected
    assert pairs(between="parts") == expected  # parts of different sets are different parts
    found = search_duplicates(configs, within_groups=True)
    assert [(p.first, p.second) for p in found.within_groups] == [(3, 4)]
    assert len(found.pairs) == 3
    assert found.cluster_sizes() == [3, 2]
    assert found.straddling() == 0
    twice = search_duplicates([configs[1], configs[1]])
    assert {item.name for item in twice.items} == {"two#1", "two#2"}
    assert len(twice.pairs) == 3


def test_pairs_of_all_places_are_unique_and_ordered(
    planted: tuple[list[Scan], list[DuplicatePair]],
) -> None:
    _, found = planted
    assert all(pair.first < pair.second for pair in found)
    assert len({(pair.first, pair.second) for pair in found}) == len(found)
    assert not any(a == b for a, b in itertools.pairwise(found))


def test_clusters_are_kept_until_a_group_changes(private_cache: Path) -> None:
    reads = []

    class Counted(Pictures):
        def read_image(self, sample: Sample) -> Image:
            reads.append(sample.id)
            return super().read_image(sample)

    data = Counted(DatasetConfig(name="pictures", skip_unreadable=True))
    expected = dataset_clusters(data, data.samples())
    reads.clear()
    assert kept_clusters(data, data.samples()) == expected
    assert reads
    reads.clear()
    assert kept_clusters(data, data.samples()) == expected
    assert reads == []
    (file,) = private_cache.iterdir()
    for damage in ("{", "[1]", '{"first": 1}'):
        file.write_text(damage)
        assert kept_clusters(data, data.samples()) == expected
        assert reads
        reads.clear()
    data.groups = ("p", None, None, "p")
    assert kept_clusters(data, data.samples())["fourth"] == "first"
    assert reads
    assert len(list(private_cache.iterdir())) == 2


def test_clusters_are_found_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "file" / "below"))
    data = Pictures(DatasetConfig(name="pictures", skip_unreadable=True))
    assert kept_clusters(data, data.samples())["third"] == "first"
