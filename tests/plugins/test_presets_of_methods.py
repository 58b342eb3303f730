"""The presets of the bundled plugins: what they say, and that each of them trains."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import MethodContext, PretrainConfig, Sample, Trunk, api
from ssl_registry.build import build_backbone, build_dataset, build_method
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.overrides import apply_overrides
from ssl_registry.config.presets import sections
from ssl_registry.data.splits import make_split
from ssl_registry.files import read_json
from ssl_registry.registry import components
from ssl_registry.training.run_folder import RunFolder

NAMES = [f.component.name for f in components("preset") if f.plugin.distribution == "ssl-registry"]
METHOD_PRESETS = [name for name in NAMES if name.startswith(("simclr-", "moco-", "simsiam-"))]
STUDY = [name for name in NAMES if name.startswith("paper-") and "pretrain" in sections([name])]


def settled(name: str, *overrides: str) -> PretrainConfig:
    """A preset over which only what it leaves to the user is said."""
    table = {"preset": name, "backbone": "unet_encoder", "data": ["phantom"]}
    return validate(PretrainConfig, apply_overrides(table, overrides), name)


def value(config: Any, path: str) -> Any:
    for key in path.split("."):
        config = config[int(key)] if key.isdecimal() else getattr(config, key)
    return config


def peak(config: PretrainConfig) -> float:
    optimizer = config.training.optimizer
    return optimizer.learning_rate * optimizer.rate_factor(config.training.batch_size)


def test_each_method_has_presets_for_the_study_small_sets_imagenet_and_cifar() -> None:
    kinds = ("paper", "paper-50", "paper-64", "recommended", "imagenet", "cifar")
    expected = {f"{method}-{kind}" for method in ("simclr", "moco", "simsiam") for kind in kinds}
    assert set(METHOD_PRESETS) == expected


@pytest.mark.parametrize(
    ("method", "sizes_and_batches"),
    [
        ("simclr", {32: 512, 50: 256, 64: 256}),
        ("moco", {32: 256, 50: 64, 64: 64}),
        ("simsiam", {32: 512, 50: 512, 64: 512}),
    ],
)
def test_the_studys_sizes_and_batches(method: str, sizes_and_batches: dict[int, int]) -> None:
    found = {}
    for name in (f"{method}-paper", f"{method}-paper-50", f"{method}-paper-64"):
        config = settled(name)
        found[config.image_size] = config.training.batch_size
        assert (config.channels, config.training.epochs) == (3, 200)
        assert config.normalization.mean == (0.485, 0.456, 0.406)
        assert value(config, "augmentation.blur") == 0.5
    assert found == sizes_and_batches


# Peak rates are those of the published rules at the preset's own batch.
@pytest.mark.parametrize(
    ("name", "rate", "expected"),
    [
        ("simclr-paper", 3e-4, {"training.optimizer.name": "adam", "method.temperature": 0.5}),
        ("simclr-paper-64", 3e-4, {"augmentation.crop_scale": (0.08, 1.0)}),
        ("moco-paper", 0.03, {"method.momentum": 0.99, "method.queue_length": None}),
        ("moco-paper-64", 0.0075, {"method.temperature": 0.2, "method.symmetric": False}),
        ("simsiam-paper", 0.1, {"method.projection_layers": 3, "training.optimizer.name": "sgd"}),
        ("simclr-recommended", 3e-4, {"augmentation.name": "ultrasound", "training.steps": 20000}),
        ("moco-recommended", 0.03, {"method.queue_share": 0.5, "method.mask_same_image": True}),
        ("simsiam-recommended", 0.06, {"training.optimizer.reference_batch": None}),
        ("simclr-imagenet", 4.8, {"method.temperature": 0.1, "training.optimizer.name": "lars"}),
        ("moco-imagenet", 0.03, {"method.queue_length": 65536, "method.momentum": 0.999}),
        ("simsiam-imagenet", 0.1, {"training.epochs": 100, "image_size": 224}),
        ("simclr-cifar", 2.0, {"augmentation.jitter_strength": 0.5, "augmentation.blur": 0.0}),
        ("moco-cifar", 0.06, {"method.temperature": 0.1, "method.projection_layers": 1}),
        ("simsiam-cifar", 0.06, {"method.projection_layers": 2, "training.epochs": 800}),
    ],
)
def test_presets_say_what_their_sources_say(
    name: str, rate: float, expected: dict[str, Any]
) -> None:
    config = settled(name)
    assert peak(config) == pytest.approx(rate)
    assert {path: value(config, path) for path in expected} == expected
    decay = {"cifar": 5e-4}.get(name.split("-")[1], 1e-4) if "simclr" not in name else 1e-4
    assert config.training.optimizer.weight_decay == decay


@pytest.mark.parametrize(
    ("images", "paper", "recommended"),
    [(546, 512, 256), (2553, 2048, 1024), (50_000, 4096, 4096), (28, 16, 8), (1, 1, 1)],
)
def test_queues_fit_the_set(images: int, paper: int, recommended: int) -> None:
    lengths = []
    for name in ("moco-paper", "moco-recommended"):
        config = settled(name, "backbone.widths=[2, 4]", "method.projection_dim=4")
        trunk = Trunk(build_backbone(config.backbone, config.channels))
        context = MethodContext(
            num_images=images, total_steps=1, batch_size=16, image_size=16, channels=1
        )
        method: Any = build_method(config.method, trunk, context)
        lengths.append(len(method.queue))
    assert lengths == [paper, recommended]


def test_the_backbone_is_the_users() -> None:
    table: dict[str, Any] = {"preset": "simclr-cifar", "data": ["phantom"]}
    backbone: Any = validate(PretrainConfig, table, "t").backbone
    assert (backbone.name, backbone.stem) == ("resnet18", "cifar")
    assert settled("simclr-cifar").backbone.name == "unet_encoder"


def tiny(root: Path, *more: str) -> list[str]:
    """What makes a run of any preset one short step."""
    return [
        *("image_size=16", "training.batch_size=16", "training.max_steps=1"),
        *("training.device=cpu", "training.threads=1"),
        'backbone={name = "unet_encoder", widths = [2, 4, 8]}',
        *more,
    ]


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures of a run, which take longer than its one step."""
    monkeypatch.setattr("ssl_registry.training.run.Run.write_report", lambda *_, **__: None)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("name", METHOD_PRESETS)
def test_each_preset_trains(name: str, tiny_busi: Path, tmp_path: Path) -> None:
    more = ["method.hidden_dim=8", "method.projection_dim=8"]
    if name in ("moco-imagenet", "moco-cifar"):
        more.append("method.queue_length=16")  # theirs is for more than 28 images
    table = {"preset": name, "data": [{"name": "busi", "root": str(tiny_busi)}]}
    run = api.pretrain(apply_overrides(table, [*tiny(tiny_busi), *more]), tmp_path / "run")
    (row,) = RunFolder(run).read_log()
    assert row["step"] == 1 and math.isfinite(row["loss"]) and row["skipped"] == 0
    record = read_json(run / "config.json")
    assert [used["name"] for used in record["presets"]][-1] == name
    assert "preset" not in record["config"]
    config = settled(name, "training.batch_size=16")
    # The one step is the whole run: its rate is the peak, scaled to this batch.
    assert row["learning_rate"] == pytest.approx(peak(config))


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("name", ["paper-finetune", "recommended-finetune"])
def test_each_preset_fine_tunes(name: str, tiny_busi: Path, tmp_path: Path) -> None:
    overrides = [*tiny(tiny_busi), "decoder.widths=[4, 2]", f"data.root={tiny_busi}"]
    table = {"preset": [name, "paper-busi"]}
    run = api.finetune(apply_overrides(table, overrides), tmp_path / "run")
    (row,) = RunFolder(run).read_log()
    assert row["step"] == 1 and math.isfinite(row["loss"])
    used = [preset["name"] for preset in read_json(run / "config.json")["presets"]]
    assert used == [name, "paper-busi"]


def test_the_studys_fine_tuning() -> None:
    table = {"preset": ["paper-finetune", "paper-busi"], "backbone": "resnet18"}
    config: Any = validate(FinetuneConfig, table, "t")
    optimizer, task = config.training.optimizer, config.task
    assert (optimizer.name, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 1e-4, 1e-6)
    assert (config.training.batch_size, config.training.epochs) == (16, 100)
    assert (task.bce_weight, task.dice_weight, task.dice, task.augment) == (0.5, 1, "image", "none")
    assert config.decoder.widths == (512, 256, 128, 64, 64)
    assert config.data.split.kind == "stratified"


@pytest.mark.parametrize("name", STUDY)
def test_the_studys_partitions_go_with_each_method(name: str, tiny_busi: Path) -> None:
    for method in ("simclr", "moco", "simsiam"):
        config = settled_study(name, f"{method}-paper")
        assert config.method.name == method
        assert sum(config.expected_images.values()) in (624, 2852, 60000, 60624)


def settled_study(*names: str) -> PretrainConfig:
    return validate(PretrainConfig, {"preset": list(names), "backbone": "resnet18"}, "study")


def busi_like() -> list[Sample]:
    labels = {"benign": 437, "malignant": 210, "normal": 133}
    return [Sample(f"{label} ({i})", label) for label, n in labels.items() for i in range(n)]


def camus_like() -> list[Sample]:
    frames = ("2CH_ED", "2CH_ES", "4CH_ED", "4CH_ES")
    return [Sample(f"{p}_{f}", group=f"patient{p}") for p in range(500) for f in frames]


def lung_like() -> list[Sample]:
    return [Sample(f"r{i}", group=f"r{i}") for i in range(228)]


def test_the_multi_organ_pool_has_the_studys_counts() -> None:
    config = settled_study("moco-paper", "paper-multi-organ")
    pools = zip(config.data, (busi_like(), camus_like(), lung_like()), strict=True)
    counts = [Counter(make_split(samples, data.split).values()) for data, samples in pools]
    assert counts == [
        {"train": 546, "val": 78, "test": 156},
        {"train": 1800, "val": 200},
        {"train": 207, "val": 21},
    ]
    total: Counter[str] = sum((Counter(c) for c in counts), Counter())
    assert {part: total[part] for part in config.expected_images} == config.expected_images


def test_the_pool_leaves_out_exactly_the_test_images_of_fine_tuning() -> None:
    pool = settled_study("moco-paper", "paper-multi-organ").data[0]
    names = ["paper-finetune", "paper-busi"]
    tuned = validate(FinetuneConfig, {"preset": names, "backbone": "resnet18"}, "t").data
    assert make_split(busi_like(), pool.split) == make_split(busi_like(), tuned.split)


@pytest.mark.data
def test_the_multi_organ_pool_of_the_real_files(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(data_root))
    counts: Counter[str] = Counter()
    sizes = []
    for data in settled_study("moco-paper", "paper-multi-organ").data:
        samples = build_dataset(data).samples()
        split = make_split(samples, data.split)
        counts.update(split.values())
        sizes.append(len(samples))
        groups = [{s.group for s in samples if split[s.id] == part} for part in ("train", "val")]
        assert data.name == "busi" or not groups[0] & groups[1]
    assert sizes[:2] == [780, 2000]
    # Recordings over 0.75 MB are not among the files here.
    lung = sizes[2]
    assert counts["train"] - round(lung * 207 / 228) == 546 + 1800
    assert counts["val"] - round(lung * 21 / 228) == 78 + 200
