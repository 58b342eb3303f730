"""Presets: how they are laid over each other, what is refused, and what is recorded."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import registry
from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import load, validate
from ssl_registry.config.presets import Merged, sections
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.discovery import PluginRecord
from ssl_registry.errors import ConfigError
from ssl_registry.provenance import presets_used, resolved, run_id
from ssl_registry.spec import Component

Ship = Callable[..., None]
NUMBERS = itertools.count()

CALM = """
[pretrain]
image_size = 48
data = [{ name = "folder", root = "calm-a" }, { name = "folder", root = "calm-b" }]
[pretrain.method]
name = "contrast"
temperature = 0.3
momentum = { start = 0.5 }
[pretrain.training]
epochs = 7
optimizer = { name = "lars", learning_rate = 2.0, warmup_epochs = 3 }
"""
FAST = """
[pretrain]
method = { temperature = 0.9, queue = 64 }
training = { epochs = 2 }
[finetune]
image_size = 40
"""
COUNTED = """
[pretrain]
training = { steps = 999, optimizer = { name = "lars", warmup_steps = 50 } }
data = [{ name = "folder", root = "a" }]
method = "contrast"
"""
TUNE = """
[finetune]
backbone = "plain"
decoder = "plain"
training = { epochs = 3 }
"""


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ship]:
    """Makes a plugin that offers presets of the given names and texts."""
    package = f"made_up_presets_{next(NUMBERS)}"
    folder = tmp_path / "site" / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder.parent))
    others = tuple({found.plugin.name: found.plugin for found in registry.components()}.values())

    def offer(**texts: str) -> None:
        for name, text in texts.items():
            (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        items = tuple(Component("preset", name, f"{package}:{name}.toml") for name in texts)
        record = PluginRecord("settled", package, "settled-dist", "3.1", "ok", components=items)
        monkeypatch.setattr(registry, "plugins", lambda: (*others, record))

    offer(calm=CALM, fast=FAST, tune=TUNE)
    yield offer
    sys.modules.pop(package, None)


def pretrain(**table: Any) -> PretrainConfig:
    return validate(PretrainConfig, {"backbone": "plain", **table}, "file.toml")


def refused(table: dict[str, Any], model: Any = PretrainConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(model, {"backbone": "plain", **table}, "file.toml")
    return str(caught.value)


@pytest.mark.usefixtures("ship")
def test_a_config_is_laid_over_its_preset() -> None:
    config = pretrain(
        preset="calm", seed=4, method={"temperature": 0.1}, training={"optimizer": {"momentum": 0}}
    )
    assert (config.seed, config.image_size) == (4, 48)
    method: Any = config.method
    assert (method.temperature, method.momentum.start) == (0.1, 0.5)
    optimizer = config.training.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("lars", 2.0, 0)
    assert config.training.epochs == 7
    assert [str(data.root) for data in config.data] == ["calm-a", "calm-b"]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("ship")
def test_presets_are_laid_over_each_other_in_order() -> None:
    method: Any = pretrain(preset=["calm", "fast"]).method
    assert (method.temperature, method.queue, method.momentum.start) == (0.9, 64, 0.5)
    assert pretrain(preset=["calm", "fast"]).training.epochs == 2
    assert pretrain(preset=["fast", "calm"]).training.epochs == 7
    assert pretrain(preset=["fast", "calm"]).preset == ("fast", "calm")


def test_epochs_replace_the_steps_of_a_preset(ship: Ship) -> None:
    ship(calm=CALM, counted=COUNTED)

    def length(**table: Any) -> tuple[int, int]:
        training = pretrain(**table).training
        return training.total_steps(10), training.optimizer.warmup(10)

    assert length(preset="counted") == (999, 50)
    assert length(preset="counted", training={"epochs": 2}) == (20, 50)
    assert length(preset="counted", training={"optimizer": {"warmup_epochs": 1}}) == (999, 10)
    assert length(preset="counted", training={"epochs": 2, "steps": 5}) == (5, 50)
    assert length(preset=["counted", "calm"]) == (70, 30)
    assert length(preset=["calm", "counted"]) == (999, 50)


def leaves(table: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found = {}
    for key, value in table.items():
        deeper = isinstance(value, dict)
        found.update(leaves(value, (*path, key)) if deeper else {(*path, key): value})
    return found


def grown(rng: random.Random, depth: int, origin: str) -> dict[str, Any]:
    """A random table in which a key is a table or a value depending on the key alone."""
    table: dict[str, Any] = {}
    for key in rng.sample("abcd", 3):
        table[key] = rng.choice([1, 2.5, [origin], True])
    if depth:
        table["inner"] = {key: grown(rng, depth - 1, origin) for key in rng.sample("xyz", 2)}
    return table


def test_merging_is_that_of_the_leaves_and_origins_are_remembered() -> None:
    rng = random.Random(0)
    for _ in range(30):
        tables = {origin: grown(rng, 2, origin) for origin in ("first", "second", "")}
        merged, expected, origins = Merged(), {}, {}
        for origin, table in tables.items():
            merged.lay(table, origin)
            for path, value in leaves(table).items():
                expected[path], origins[path] = value, origin
        assert leaves(merged.table) == expected
        assert {path: merged.origin(path) for path in expected} == origins


def laid(*tables: dict[str, Any]) -> dict[str, Any]:
    merged = Merged()
    for table in tables:
        merged.lay(table)
    return merged.table


def test_a_table_with_another_name_replaces() -> None:
    below = {"method": {"name": "a", "temperature": 1}}
    assert laid(below, {"method": {"name": "b", "x": 2}}) == {"method": {"name": "b", "x": 2}}
    assert laid(below, {"method": "b"}) == {"method": "b"}
    kept = {"method": {"name": "a", "temperature": 1}}
    assert laid(below, {"method": "a"}) == kept
    assert laid(below, {"method": {"name": "maker/a"}})["method"] == {
        "name": "maker/a",
        "temperature": 1,
    }
    assert laid({"method": "a"}, {"method": {"x": 2}}) == {"method": {"name": "a", "x": 2}}
    assert laid({"method": "a"}, {"method": "b"}) == {"method": "b"}
    assert laid({"weights": "a"}, {"weights": None}) == {"weights": None}


def test_lists_replace_but_single_entries_can_be_changed() -> None:
    below = {"data": [{"name": "a", "root": "x"}, "b"], "parts": ["train", "val"]}
    assert laid(below, {"data": ["c"], "parts": ["test"]}) == {"data": ["c"], "parts": ["test"]}
    changed = laid(below, {"data": {"0": {"root": "y"}, "1": {"root": "z"}}})
    assert changed["data"] == [{"name": "a", "root": "y"}, {"name": "b", "root": "z"}]
    assert below["data"] == [{"name": "a", "root": "x"}, "b"]
    assert laid(below, {"parts": {"1": "test"}})["parts"] == ["train", "test"]
    assert laid(below, {"data": {"0": {"name": "c"}}})["data"] == [{"name": "c"}, "b"]


@pytest.mark.usefixtures("ship")
def test_overrides_reach_into_presets(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('backbone = "plain"\n')
    changes = ["preset=calm", "data.1.root=/images", "method.temperature=0.7", "backbone.width=3"]
    config: Any = load(PretrainConfig, file, changes)
    assert [str(data.root) for data in config.data] == ["calm-a", "/images"]
    assert (config.method.temperature, config.backbone.width) == (0.7, 3)
    config = load(PretrainConfig, file, ['preset=["calm", "fast"]', "training.epochs="])
    assert config.training.epochs == 2


@pytest.mark.usefixtures("ship")
def test_presets_in_code_and_in_a_comparison() -> None:
    written: Any = {"preset": "calm", "backbone": "plain"}
    assert PretrainConfig.model_validate(written) == PretrainConfig(**written)
    folder = {"name": "folder", "root": "x"}
    comparison = ComparisonConfig.model_validate(
        {"title": "t", "pretrain": written, "finetune": {"preset": "tune", "data": folder}}
    )
    assert comparison.pretrain.training.epochs == 7
    assert comparison.finetune.training.epochs == 3
    model = registry.config_model("method", "contrast")(temperature=2.0)  # type: ignore[call-arg]
    method: Any = PretrainConfig(preset=["calm"], backbone="plain", method=model).method  # type: ignore[call-arg]
    assert (method.temperature, method.momentum.start) == (2.0, 0.99)


@pytest.mark.usefixtures("ship")
def test_the_outcome_holds_no_trace_but_the_presets_are_on_record() -> None:
    config = pretrain(preset=["calm", "fast"])
    spelled = PretrainConfig.model_validate(resolved(config))
    assert "preset" not in resolved(config) and spelled.preset == ()
    assert resolved(spelled) == resolved(config)
    assert run_id(spelled, [], {}) == run_id(config, [], {})
    assert presets_used(spelled) == []
    facts = {"plugin": "settled", "distribution": "settled-dist", "version": "3.1"}
    assert presets_used(config) == [
        {"kind": "preset", "name": name, **facts} for name in ("calm", "fast")
    ]
    copied = config.model_copy(update={"seed": 3})
    assert presets_used(copied) == presets_used(config)


def test_presets_build_upon_each_other(ship: Ship) -> None:
    upon = '[pretrain]\npreset = "calm"\nimage_size = 64\n'
    ship(calm=CALM, upon=upon, top='[pretrain]\npreset = ["upon"]\nseed = 9\n')
    config = pretrain(preset="top", training={"epochs": 1})
    assert (config.seed, config.image_size, config.training.epochs) == (9, 64, 1)
    assert config.training.optimizer.learning_rate == 2.0
    assert [used["name"] for used in presets_used(config)] == ["calm", "upon", "top"]
    ship(a='[pretrain]\npreset = "b"\n', b='[pretrain]\npreset = "a"\n')
    message = refused({"preset": "a"})
    assert "preset 'a' of plugin settled" in message and "a -> b -> a" in message


def test_a_preset_may_give_the_method_whose_augmentation_is_taken(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.config_model("method", "contrast"), "default_augmentation", "none")
    assert "augmentation: no augmentation is called 'none'" in refused({"preset": "calm"})


@pytest.mark.usefixtures("ship")
def test_what_presets_are_for() -> None:
    assert sections(["fast"]) == ("pretrain", "finetune")
    assert sections(["fast", "tune"]) == ("finetune",)
    assert sections(["calm", "tune"]) == ()
    message = refused({"preset": "tune"})
    assert "preset: preset 'tune' is for another kind of config" in message
    assert "settings for finetune, none for pretrain" in message
    assert "for pretrain, none for finetune" in refused(
        {"preset": ["tune", "calm"]}, FinetuneConfig
    )


@pytest.mark.usefixtures("ship")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("clam", "preset: no preset is called 'clam' (did you mean 'calm'?)"),
        (["calm", "fats"], "did you mean 'fast'?"),
        (3, "preset: must be a name or a list of names (got 3)"),
        ([1], "preset: must be a name or a list of names (got [1])"),
    ],
)
def test_unknown_presets(value: Any, words: str) -> None:
    message = refused({"preset": value, "seed": -1})
    assert words in message
    assert message.startswith("file.toml: ") and "missing" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pretrain", "is not valid TOML: "),
        ("", "(found nothing)"),
        ("image_size = 3", "(found image_size)"),
        ("[pretrain]\n[trian]\n", "(found pretrain, trian)"),
        ("[pretrain]\npreset = 3\n", "pretrain.preset must be a name"),
    ],
)
def test_spoilt_presets_are_the_plugins_fault(ship: Ship, text: str, words: str) -> None:
    ship(spoilt=text)
    message = refused({"preset": "spoilt"})
    assert words in message
    assert "preset 'spoilt' of plugin settled (settled-dist 3.1)" in message
    if "pretrain.preset" not in words:
        assert "file spoilt.toml" in message


def test_mistakes_tell_where_they_come_from(ship: Ship) -> None:
    ship(
        calm=CALM,
        wrong="[pretrain]\nimage_size = 2\nmethod = { temprature = 3 }\n"
        'data = [{ name = "folder" }]\n[pretrain.training]\nepochs = "many"\n',
    )
    wrong = "[from preset 'wrong' of plugin settled]"
    lines = refused({"preset": ["calm", "wrong"], "seed": -1, "training": {"batch_size": 0}})
    assert set(lines.split("\n  ")[1:]) == {
        f"image_size: must be at least 8 (got 2) {wrong}",
        f"method.temprature: unknown key (did you mean 'temperature'?) {wrong}",
        f"data.0.root: is missing {wrong}",
        f"training.epochs: must be a whole number (got 'many') {wrong}",
        "training.batch_size: must be at least 1 (got 0)",
        "seed: must be at least 0 (got -1)",
    }
    # A key that the config overrides is its own mistake.
    assert "image_size: must be at least 8 (got 3)\n" in refused(
        {"preset": ["calm", "wrong"], "image_size": 3}
    )


def test_mistakes_inside_a_comparison_tell_it_too(ship: Ship) -> None:
    ship(calm=CALM, wrong="[finetune]\nimage_size = 2\n")
    table = {
        "title": "t",
        "pretrain": {"preset": "calm", "backbone": "plain", "seed": -1},
        "finetune": {"preset": "wrong", "backbone": "plain", "decoder": "plain", "data": "folder"},
    }
    with pytest.raises(ConfigError) as caught:
        validate(ComparisonConfig, table, "file.toml")
    assert str(caught.value).split("\n  ")[1:] == [
        "pretrain.seed: must be at least 0 (got -1)",
        "finetune.image_size: must be at least 8 (got 2) [from preset 'wrong' of plugin settled]",
        "finetune.data.root: is missing",
    ]
    table["pretrain"] = {"preset": "clam"}
    with pytest.raises(ConfigError, match=r"pretrain\.preset: no preset is called 'clam'"):
        validate(ComparisonConfig, table, "file.toml")


@pytest.mark.usefixtures("ship")
def test_places_that_are_not_there() -> None:
    message = refused({"preset": "calm", "data": {"2": {"root": "x"}}})
    assert "data.2: there is no such place in the list of 2" in message
    assert "that comes from preset 'calm' of plugin settled" in message
