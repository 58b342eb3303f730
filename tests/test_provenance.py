from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.strict import StrictModel
from ssl_registry.provenance import components_used, environment, resolved, run_id

DATA = {"0": "fingerprint split", "weights": ""}
COMPONENTS = [{"kind": "method", "name": "simclr", "version": "1"}]
TABLE: dict[str, Any] = {
    "method": {"name": "simclr"},
    "backbone": {"name": "resnet18"},
    "decoder": {"name": "unet"},
    "augmentation": {"name": "simclr"},
    "data": [{"name": "busi", "root": "/images"}],
}


def merged(table: Any, changes: Any) -> Any:
    if not isinstance(changes, Mapping):
        return changes
    return {**table, **{key: merged(table.get(key, {}), item) for key, item in changes.items()}}


def pretrain(**changes: Any) -> PretrainConfig:
    return validate(PretrainConfig, merged(TABLE, changes), "the test")


def identity_of(**changes: Any) -> str:
    return run_id(pretrain(**changes), COMPONENTS, DATA)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": [{"name": "busi", "root": "/elsewhere"}]},
        {"training": {"device": "cpu"}},
        {"training": {"threads": 1}},
        {"training": {"checkpoint_seconds": 0}},
        {"training": {"data_on_device": False}},
        {"seed": 0},
    ],
)
def test_id_does_not_depend_on_where_and_how(changes: dict[str, Any]) -> None:
    assert identity_of(**changes) == identity_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"method": {"temperature": 0.11}},
        {"backbone": {"stem": "cifar"}},
        {"backbone": {"name": "resnet50"}},
        {"data": [{"name": "busi", "root": "/images", "skip_unreadable": True}]},
        {"data": [{"name": "busi", "root": "/images", "split": {"seed": 1}}]},
        {"data": [{"name": "busi", "root": "/images"}] * 2},
        {"training": {"epochs": 99}},
        {"training": {"precision": "bf16"}},
        {"training": {"optimizer": {"learning_rate": 0.1}}},
        {"normalization": {"mean": [0.5], "std": [0.5]}},
    ],
)
def test_id_depends_on_each_setting(changes: dict[str, Any]) -> None:
    assert identity_of(**changes) != identity_of()


def test_id_depends_on_data_and_versions() -> None:
    ids = {
        run_id(pretrain(), COMPONENTS, DATA),
        run_id(pretrain(), COMPONENTS, {**DATA, "0": "other split"}),
        run_id(pretrain(), COMPONENTS, {**DATA, "weights": "digest"}),
        run_id(pretrain(), [{**COMPONENTS[0], "version": "2"}], DATA),
        run_id(pretrain(), [], DATA),
    }
    assert len(ids) == 5


def test_paths_of_weights_and_split_files_are_left_out() -> None:
    def identified(weights: str, file: str) -> str:
        table = {
            "backbone": "resnet18",
            "decoder": "unet",
            "data": {"name": "busi", "root": "x", "split": {"kind": "file", "file": file}},
            "weights": weights,
        }
        return run_id(validate(FinetuneConfig, table, "the test"), COMPONENTS, DATA)

    assert identified("a", "a.csv") == identified("b", "b.csv")


class Phase(Enum):
    END = "end"


class Odd(StrictModel):
    """Settings that a foreign plugin may have."""

    device: str = "philips"
    organs: frozenset[str] = frozenset({"breast", "heart", "lung", "liver"})
    roots: tuple[Path, ...] = ()
    phase: Phase = Phase.END


def test_a_datasets_own_device_is_part_of_the_id() -> None:
    assert run_id(Odd(), [], {}) != run_id(Odd(device="siemens"), [], {})
    assert run_id(Odd(), [], {}) != run_id(Odd(organs=frozenset({"lung"})), [], {})
    assert run_id(Odd(), [], {}) == run_id(Odd(roots=(Path("a"), Path("b"))), [], {})


def test_id_is_the_same_in_another_process() -> None:
    code = (
        "from ssl_registry.provenance import run_id; from ssl_registry.config.strict import *\n"
        "class Odd(StrictModel):\n"
        "    organs: frozenset[str] = frozenset({'breast', 'heart', 'lung', 'liver'})\n"
        "print(run_id(Odd(), [], {}))\n"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(ids) == 1
    assert len(ids.pop().strip()) == 12


def test_resolved_config_is_complete_and_validates_again() -> None:
    config = pretrain(method={"temperature": 0.2})
    table = json.loads(json.dumps(resolved(config)))
    assert table["method"]["temperature"] == 0.2
    assert table["data"][0]["root"] == "/images"
    assert table["training"]["batch_size"] == 256
    assert validate(PretrainConfig, table, "again") == config


def test_components_used_name_their_plugin_and_version() -> None:
    version = importlib.metadata.version("ssl-registry")
    used = components_used(pretrain())
    assert {(item["kind"], item["name"], item["plugin"]) for item in used} == {
        ("method", "simclr", "simclr"),
        ("backbone", "resnet18", "timm"),
        ("decoder", "unet", "unet"),
        ("augmentation", "simclr", "simclr"),
        ("dataset", "busi", "busi"),
    }
    assert {(item["distribution"], item["version"]) for item in used} == {("ssl-registry", version)}


def test_environment_records_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = environment("cpu", "fp32", 2)
    assert facts["torch"] == importlib.metadata.version("torch")
    assert facts["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert (facts["device"], facts["precision"], facts["threads"]) == ("cpu", "fp32", "2")
    monkeypatch.setattr("ssl_registry.provenance.RECORDED", ("no-such-distribution",))
    assert environment("cpu", "fp32", 2)["no-such-distribution"] == "not installed"
