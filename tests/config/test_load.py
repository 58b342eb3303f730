"""Config files: what is refused with which words, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import component_kinds, load, parse_toml, read_toml, validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.errors import ConfigError

GOOD: dict[str, Any] = {
    "method": "contrast",
    "backbone": "plain",
    "data": [{"name": "folder", "root": "../images"}],
}


def mistakes(table: dict[str, Any], model: type[BaseModel] = PretrainConfig) -> list[str]:
    """The mistakes that are reported for `table`, each without its indent."""
    with pytest.raises(ConfigError) as caught:
        validate(model, table, "file.toml")
    head, *lines = str(caught.value).split("\n")
    if not lines:
        assert head.startswith("file.toml: ")
        return [head.removeprefix("file.toml: ")]
    assert head == f"file.toml has {len(lines)} mistakes:"
    return [line.removeprefix("  ") for line in lines]


def test_all_mistakes_are_told_at_once_with_their_paths() -> None:
    table = {
        "sed": 1,
        "image_size": 2,
        "method": {
            "name": "contrast",
            "temprature": 0.1,
            "temperature": -1,
            "momentum": {"strat": 1},
        },
        "backbone": {"name": "plane"},
        "data": [{"name": "folder", "rot": "x"}, {"name": "folder", "root": "x", "masks": "last"}],
        "training": {"epochs": "many", "optimizer": {"learning_rte": 1}},
    }
    assert set(mistakes(table)) == {
        "sed: unknown key (did you mean 'seed'?)",
        "image_size: must be at least 8 (got 2)",
        "method.temprature: unknown key (did you mean 'temperature'?)",
        "method.temperature: must be greater than 0.0 (got -1)",
        "method.momentum.strat: unknown key (did you mean 'start'?)",
        "backbone: no backbone is called 'plane' (did you mean 'plain'?); "
        "known: plain (made), stack (made)",
        "data.0.root: is missing",
        "data.0.rot: unknown key (did you mean 'root'?)",
        "data.1.masks: must be 'all' or 'first' (got 'last')",
        "training.epochs: must be a whole number (got 'many')",
        "training.optimizer.learning_rte: unknown key (did you mean 'learning_rate'?)",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": {}}, "method: needs a name: one of contrast, vanished"),
        ({"method": {"name": 3}}, "method: needs a name: one of contrast, vanished"),
        ({"method": 3}, "method: must be a name or a table with a name (got 3)"),
        ({"augmentation": {}}, "augmentation: needs a name, but no plugin offers one"),
        ({"data": "folder"}, "data: must be a list (got 'folder')"),
        ({"data": []}, "data: must have 1 or more entries"),
        ({"data": ["folder"]}, "data.0.root: is missing"),
        ({"seed": "one"}, "seed: must be a whole number (got 'one')"),
        ({"seed": 1.5}, "seed: must be a whole number (got 1.5)"),
        ({"seed": -1}, "seed: must be at least 0 (got -1)"),
        ({"channels": 2}, "channels: must be 1 or 3 (got 2)"),
        ({"training": 5}, "training: must be a table (got 5)"),
        ({"training": {"device": 0}}, "training.device: must be text (got 0)"),
        ({"training": {"optimizer": {"learning_rate": float("nan")}}}, None),
        ({"parts": ["train", "vall"]}, "parts.1: must be 'train', 'val' or 'test' (got 'vall')"),
        ({"normalization": {"mean": [0.5]}}, "normalization: mean and std need 1 or 3 values each"),
        ({"method": {"name": "contrast", "momentum": {"start": 0.9, "end": 0.1}}}, None),
        ({"backbone": {"name": "stack"}}, "backbone.inner: is missing"),
        ({"backbone": {"name": "stack", "inner": {"name": "plain", "widht": 2}}}, None),
        ({"completely": 1}, "completely: unknown key; known keys: seed, image_size, channels"),
    ],
)
def test_one_mistake(changes: dict[str, Any], expected: str | None) -> None:
    special = {
        "training": "training.optimizer.learning_rate: must be ",
        "method": "method.momentum: end must not be below start",
        "backbone": "backbone.inner.widht: unknown key (did you mean 'width'?)",
    }
    (mistake,) = mistakes({**GOOD, **changes})
    assert mistake.startswith(expected or special[next(iter(changes))])


def test_missing_tables() -> None:
    assert mistakes({}) == ["method: is missing", "backbone: is missing", "data: is missing"]


def test_a_field_of_several_types_is_one_mistake_without_type_names_in_its_path() -> None:
    (mistake,) = mistakes({**GOOD, "method": {"name": "contrast", "queue": "many"}})
    assert mistake == (
        "method.queue: must be a whole number (got 'many') or must be 'auto' (got 'many')"
    )


def test_no_jargon() -> None:
    table = {**GOOD, "seed": [], "channels": {}, "training": [], "parts": 1, "normalization": 2}
    text = "\n".join(mistakes(table)).lower()
    for word in ("pydantic", "http", "input should", "type=", "validation", "instance of"):
        assert word not in text


def test_long_values_are_cut() -> None:
    (mistake,) = mistakes({**GOOD, "seed": "x" * 1000})
    assert len(mistake) < 150


def test_a_config_module_that_cannot_be_loaded_is_told_at_its_place() -> None:
    (mistake,) = mistakes({**GOOD, "method": "vanished"})
    assert mistake.startswith("method: method 'vanished' of plugin made (up 1) cannot be loaded")


def test_a_clash_is_told_at_its_place_and_resolved_by_the_provider(
    made_up: Callable[[], None],
) -> None:
    made_up()
    (mistake,) = mistakes(GOOD)
    assert mistake.startswith(
        "method: method 'contrast' is offered by 2 plugins: up:made, off:other"
    )
    resolved = validate(PretrainConfig, {**GOOD, "method": "off/contrast"}, "x")
    assert type(resolved.method).__name__ == "Contrast"
    assert resolved.method.name == "off/contrast"


def test_the_default_task_is_validated_too(made_up: Callable[[], None]) -> None:
    table = {"backbone": "plain", "decoder": "plain", "data": {"name": "folder", "root": "x"}}
    assert validate(FinetuneConfig, table, "x").task.name == "supervised"
    assert mistakes({**table, "task": "superwised"}, FinetuneConfig) == [
        "task: no task is called 'superwised' (did you mean 'supervised'?); "
        "known: supervised (made)"
    ]


def test_comparison_paths_go_all_the_way_down() -> None:
    table = {
        "title": "t",
        "pretrain": {**GOOD, "method": {"name": "contrast", "temper": 1}},
        "finetune": {"backbone": "plain", "data": {"name": "folder"}},
        "seeds": [],
    }
    assert mistakes(table, ComparisonConfig) == [
        "pretrain.method.temper: unknown key (did you mean 'temperature'?)",
        "finetune.decoder: is missing",
        "finetune.data.root: is missing",
        "seeds: must have 1 or more entries",
    ]


def test_dump_keeps_what_plugins_add_and_reads_back() -> None:
    table = {
        **GOOD,
        "method": {"name": "contrast", "temperature": 0.07},
        "backbone": {"name": "stack", "inner": {"name": "plain", "width": 3}},
    }
    resolved = validate(PretrainConfig, table, "x")
    dumped = json.loads(resolved.model_dump_json())
    assert dumped["method"]["temperature"] == 0.07
    assert dumped["method"]["momentum"] == {"start": 0.99, "end": 1.0}
    assert dumped["backbone"]["inner"]["width"] == 3
    assert dumped["data"][0]["root"] == "../images"
    assert dumped["data"][0]["split"]["seed"] == 42
    assert validate(PretrainConfig, dumped, "x") == resolved


def test_ready_made_configs_pass() -> None:
    resolved = validate(PretrainConfig, GOOD, "x")
    again = PretrainConfig(method=resolved.method, backbone=resolved.backbone, data=resolved.data)
    assert again == resolved


def test_component_kinds_descends_into_components() -> None:
    table = {**GOOD, "backbone": {"name": "stack", "inner": "plain"}}
    resolved = validate(PretrainConfig, table, "x")
    found = [(kind, config.name) for kind, config in component_kinds(resolved)]
    assert found == [
        ("method", "contrast"),
        ("backbone", "stack"),
        ("backbone", "plain"),
        ("dataset", "folder"),
    ]


def test_load_reads_overrides_and_keeps_relative_paths(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        '\ufeffmethod = "contrast"\nbackbone = "plain"\n[[data]]\nname = "folder"\nroot = "../x"\n',
        encoding="utf-8",
    )
    config = load(PretrainConfig, file, ["method.temperature=0.25", "training.epochs=7"])
    assert config.training.epochs == 7
    assert config.model_dump()["method"]["temperature"] == 0.25
    assert config.model_dump()["data"][0]["root"] == Path("../x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the config .*none\.toml: No such file"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_toml(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no UTF-8 text"):
        read_toml(binary)
    with pytest.raises(ConfigError, match=r"here\.toml is not valid TOML: .*line 2"):
        parse_toml("a = 1\nb = = 2\n", "here.toml")
