"""How several datasets are mixed: shares of an epoch, order, metadata, and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import pretrain
from ssl_registry.build import build_dataset
from ssl_registry.config.load import validate
from ssl_registry.config.model import DatasetConfig, MethodConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.split import SplitConfig
from ssl_registry.data import load as load_module
from ssl_registry.data import pool as pool_module
from ssl_registry.data.expected import ImageCountWarning, unexpected_counts
from ssl_registry.data.mixing import Share, epoch_length, epoch_shares
from ssl_registry.data.pool import load_pool
from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.dataset import Dataset, DatasetInfo, Image, Sample
from ssl_registry.interfaces.method import Method, MethodContext, PretrainBatch
from ssl_registry.interfaces.training import StepOutput
from ssl_registry.nn.trunk import Trunk
from ssl_registry.provenance import run_id
from ssl_registry.training import pretrain as pretrain_module
from ssl_registry.training.device import choose_execution
from ssl_registry.training.loop import Loop, total_steps
from ssl_registry.training.pretrain import build_job, build_trunk
from ssl_registry.training.randomness import epoch_order, mixed_order
from ssl_registry.training.run_folder import RunFolder

NAMES = ("one", "two", "three")


def shares_of(mixing: Any, sizes: Sequence[int], weights: Sequence[float]) -> tuple[Share, ...]:
    return epoch_shares(mixing, sizes, weights, NAMES[: len(sizes)])


def members(order: np.ndarray, sizes: Sequence[int]) -> list[list[int]]:
    """Per dataset, the images that an order visits, numbered from 0 within the dataset."""
    found: list[list[int]] = [[] for _ in sizes]
    bounds = np.cumsum([0, *sizes])
    for index in order.tolist():
        (number,) = [n for n in range(len(sizes)) if bounds[n] <= index < bounds[n + 1]]
        found[number].append(index - int(bounds[number]))
    return found


def test_concatenation_shows_every_image_once_in_the_order_of_one_set() -> None:
    shares = shares_of("concatenate", (5, 11, 3), (1.0, 1.0, 1.0))
    assert epoch_length(shares) == 19
    for epoch in range(4):
        order = mixed_order(7, epoch, shares)
        assert sorted(order.tolist()) == list(range(19))
        np.testing.assert_array_equal(order, epoch_order(7, epoch, 19))


def test_weights_of_a_concatenation_repeat_images() -> None:
    sizes = (8, 10, 4)
    shares = shares_of("concatenate", sizes, (2.5, 0.3, 1.0))
    assert [share.shown for share in shares] == [20, 3, 4]
    shown: list[Counter[int]] = [Counter() for _ in sizes]
    for epoch in range(20):
        found = members(mixed_order(3, epoch, shares), sizes)
        assert [len(images) for images in found] == [20, 3, 4]
        assert set(Counter(found[0]).values()) == {2, 3}
        assert set(Counter(found[1]).values()) == {1}
        assert sorted(found[2]) == [0, 1, 2, 3]
        for count, images in zip(shown, found, strict=True):
            count.update(images)
    assert set(shown[2].values()) == {20}
    # 20 draws of half the images and of 3 in 10: every image has its chance, none is favoured.
    assert sum(shown[0].values()) == 400
    assert sum(shown[1].values()) == 60
    assert len(shown[1]) == 10


def test_draws_favour_no_image() -> None:
    shares = shares_of("concatenate", (10, 5), (1.3, 1.0))
    shown: Counter[int] = Counter()
    epochs = 2000
    for epoch in range(epochs):
        shown.update(mixed_order(2, epoch, shares).tolist())
    extra = np.array([shown[image] for image in range(10)]) / epochs - 1
    # Three of ten are drawn; five standard deviations.
    assert np.abs(extra - 0.3).max() < 5 * (0.3 * 0.7 / epochs) ** 0.5
    assert all(shown[image] == epochs for image in range(10, 15))


def test_balanced_sets_get_equal_turns_whatever_their_sizes() -> None:
    sizes = (4, 90, 26)
    shares = shares_of("balanced", sizes, (1.0, 1.0, 1.0))
    assert epoch_length(shares) == sum(sizes)
    for epoch in range(5):
        found = members(mixed_order(0, epoch, shares), sizes)
        assert [len(images) for images in found] == [40, 40, 40]


def test_balanced_sets_get_turns_by_weight() -> None:
    sizes = (10, 20, 30)
    counts = [share.shown for share in shares_of("balanced", sizes, (1.0, 2.0, 0.5))]
    # 60 images at 2:4:1 are 17.14, 34.29 and 8.57: the last one is rounded up.
    assert counts == [17, 34, 9]
    assert [s.shown for s in shares_of("balanced", (10, 0, 30), (1.0, 5.0, 3.0))] == [10, 0, 30]


def test_no_image_of_a_balanced_set_comes_again_before_all_have_come() -> None:
    sizes = (7, 40)
    shares = shares_of("balanced", sizes, (1.0, 1.3))
    seen: list[list[int]] = [[], []]
    for epoch in range(12):
        for known, images in zip(seen, members(mixed_order(5, epoch, shares), sizes), strict=True):
            known.extend(images)
    for size, images in zip(sizes, seen, strict=True):
        decks = [images[at : at + size] for at in range(0, len(images) - size + 1, size)]
        assert len(decks) >= 6
        assert all(sorted(deck) == list(range(size)) for deck in decks)
        assert len({tuple(deck) for deck in decks}) == len(decks)


def test_turns_are_shuffled_evenly() -> None:
    sizes = (10, 30)
    shares = shares_of("balanced", sizes, (1.0, 3.0))
    first = np.zeros(40)
    epochs = 3000
    for epoch in range(epochs):
        first += mixed_order(1, epoch, shares) < 10
    # Each place goes to the first set a quarter of the time; five standard deviations.
    assert np.abs(first / epochs - 0.25).max() < 5 * (0.25 * 0.75 / epochs) ** 0.5


@pytest.mark.parametrize("mixing", ["concatenate", "balanced"])
def test_an_order_depends_on_seed_and_epoch_alone(mixing: str) -> None:
    shares = shares_of(mixing, (6, 9), (1.5, 2.0))
    orders = {}
    for key in [(seed, epoch) for seed in range(3) for epoch in range(4)]:
        orders[key] = mixed_order(*key, shares).tolist()
    assert len({tuple(order) for order in orders.values()}) == 12
    mixed_order.cache_clear()
    np.random.seed(1)
    for key in reversed(orders):
        assert mixed_order(*key, shares).tolist() == orders[key]


@pytest.mark.parametrize("mixing", ["concatenate", "balanced"])
def test_a_weight_that_shows_nothing_is_refused(mixing: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset 'two' has the weight 0\.001, by which an"):
        shares_of(mixing, (100, 100), (1.0, 0.001))


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan")])
def test_weights_are_positive_numbers(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        DatasetConfig(name="one", weight=weight)


DATA = [
    {"name": "a", "images": {"train": 546, "val": 78, "test": 156}},
    {"name": "b", "images": {"train": 1800, "val": 200, "test": 0}},
]


def test_counts_that_differ_are_told_by_set() -> None:
    assert unexpected_counts({}, DATA) == []
    assert unexpected_counts({"train": 2346, "val": 278}, DATA) == []
    (said,) = unexpected_counts({"train": 2346, "val": 299}, DATA)
    assert said.startswith("278 images in val where the config expects 299 (a 78, b 200);")


class ColourConfig(DatasetConfig):
    name: str = "colour"
    split: SplitConfig = SplitConfig(kind="random", ratios=(1, 0, 0))


class Colour(Dataset):
    """Nine natural pictures; the first is of an organ, all are of a patient of their own."""

    info = DatasetInfo("none", "natural image", "CC0", "none", "none", channels=3)

    def samples(self) -> Sequence[Sample]:
        return [
            Sample(str(n), meta={"patient": f"p{n}", **({"organ": "eye"} if n == 0 else {})})
            for n in range(9)
        ]

    def read_image(self, sample: Sample) -> Image:
        rng = np.random.default_rng(int(sample.id))
        return rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> DatasetConfig:
    """The config of a colour dataset that the core can build."""

    def built(config: DatasetConfig) -> Dataset:
        return Colour(config) if isinstance(config, ColourConfig) else build_dataset(config)

    monkeypatch.setattr(pool_module, "build_dataset", built)
    monkeypatch.setattr(load_module, "build_dataset", built)
    return ColourConfig()


class Recording(Method):
    """Writes down the batches it gets."""

    def __init__(self, trunk: Trunk, config: MethodConfig, context: MethodContext) -> None:
        super().__init__()
        self.trunk, self.context = trunk, context
        self.batches: list[PretrainBatch] = []

    def forward(self, batch: PretrainBatch) -> StepOutput:
        self.batches.append(batch)
        return StepOutput(self.trunk.embed(batch.views.images[0]).square().mean())


def mixed(table: dict[str, Any], colour: DatasetConfig, **settings: object) -> PretrainConfig:
    data = [*table["data"], colour]
    return validate(PretrainConfig, {**table, "channels": 3, "data": data, **settings}, "the test")


def trained(config: PretrainConfig, patch: pytest.MonkeyPatch, run: Path) -> Recording:
    def build_method(config: MethodConfig, trunk: Trunk, context: MethodContext) -> Method:
        return Recording(trunk, config, context)

    patch.setattr(pretrain_module, "build_method", build_method)
    execution = choose_execution(config.training)
    size, channels = config.stored_size, config.channels
    pool = load_pool(config.data, config.parts, size=size, channels=channels)
    steps = total_steps(epoch_length(pool.shares(config.mixing)), config.training)
    job = build_job(config, build_trunk(config), pool, steps, execution)
    folder = RunFolder(run)
    folder.claim({"id": "test"}, resume=False)
    Loop(job, config.training, config.seed, folder, execution).train({"config": {}}, resume=False)
    folder.release()
    method = job.module
    assert isinstance(method, Recording)
    return method


@pytest.mark.parametrize("mixing", ["concatenate", "balanced"])
def test_a_method_sees_what_each_image_is(
    pretrain_table: dict[str, Any],
    colour: DatasetConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mixing: str,
) -> None:
    training = {**pretrain_table["training"], "batch_size": 37, "epochs": 4}
    off = {"validation_epochs": 0}
    config = mixed(pretrain_table, colour, mixing=mixing, training=training, monitoring=off)
    method = trained(config, monkeypatch, tmp_path / "run")
    vocabulary = method.context.vocabulary
    assert method.context.num_images == 37  # 28 of BUSI and 9
    assert vocabulary["dataset"] == ("busi", "colour")
    assert vocabulary["organ"] == ("breast", "eye", "none")
    assert vocabulary["patient"] == tuple(f"p{n}" for n in range(9))
    training_batches = [batch for batch in method.batches if len(batch.sample_id) == 37]
    assert len(training_batches) >= 4
    shown: Counter[int] = Counter()
    for batch in training_batches:
        for place, sample in enumerate(batch.sample_id.tolist()):
            shown[sample] += 1
            facts = {
                key: vocabulary[key][code] if (code := int(codes[place])) >= 0 else None
                for key, codes in batch.meta.items()
            }
            if sample < 28:
                expected = {"dataset": "busi", "organ": "breast", "patient": None}
            else:
                organ = "eye" if sample == 28 else "none"
                expected = {"dataset": "colour", "organ": organ, "patient": f"p{sample - 28}"}
            assert facts == expected
    epochs = len(training_batches)
    of_busi = sum(count for sample, count in shown.items() if sample < 28) / epochs
    assert of_busi == (28 if mixing == "concatenate" else 19)


def test_gray_images_among_colour_are_gray_in_three_channels(
    pretrain_table: dict[str, Any], colour: DatasetConfig
) -> None:
    config = mixed(pretrain_table, colour)
    pool = load_pool(config.data, ["train"], size=24, channels=3)
    images = pool.images(np.arange(37)).numpy()
    assert images.shape == (37, 3, 24, 24)
    gray = build_dataset(config.data[0])
    read = {sample.id: gray.read_image(sample) for sample in gray.samples()}
    chosen = [sample.id for sample in pool.members[0].samples]
    for image, place in zip(images[:28], pool.members[0].places(["train"]), strict=True):
        plain = PillowImage.fromarray(read[chosen[place]])
        small = np.asarray(plain.resize((24, 24), PillowImage.Resampling.BILINEAR))
        np.testing.assert_array_equal(image, np.stack([small] * 3))
    assert all((image[0] != image[1]).any() for image in images[28:])
    alone = load_pool(config.data, ["train"], size=24, channels=1)
    assert alone.images(np.arange(37)).shape == (37, 1, 24, 24)


def test_weight_and_mixing_are_part_of_a_runs_id(pretrain_table: dict[str, Any]) -> None:
    (data,) = pretrain_table["data"]
    tables = [
        pretrain_table,
        {**pretrain_table, "mixing": "balanced"},
        {**pretrain_table, "data": [{**data, "weight": 2}]},
    ]
    ids = [run_id(validate(PretrainConfig, table, "the test"), [], {}) for table in tables]
    assert len(set(ids)) == 3


def test_other_counts_are_warned_of_and_reported(
    pretrain_table: dict[str, Any], tmp_path: Path
) -> None:
    training = {**pretrain_table["training"], "max_steps": 1}
    table = {**pretrain_table, "training": training, "expected_images": {"train": 546, "val": 4}}
    said = "28 images in train where the config expects 546 (busi 28)"
    with pytest.warns(ImageCountWarning) as caught:
        run = pretrain(table, tmp_path / "run")
    assert [said in str(warning.message) for warning in caught] == [True]
    assert said in (run / "report.html").read_text()
