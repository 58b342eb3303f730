"""Plugins of others: installed packages that the core has never heard of, and new ones.

A method, an organ and a backbone of `foreign_plugins`, and a new plugin of each kind, live in one
environment, and one process of it runs the commands below, because most of each command's time is
the import of torch.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from ssl_registry.scaffold import PLUGIN_KINDS, Author, plugin_names, write_package

FOLDER = Path(__file__).with_name("foreign_plugins")
FOREIGN = ("conv-stages", "rotnet", "thyroid-nodules")
NEW = tuple(f"new-{kind}" for kind in PLUGIN_KINDS)

RUNNER = """
import contextlib, io, json, pathlib, sys
from ssl_registry import registry
from ssl_registry.cli.runner import runner

root = pathlib.Path("thyroid")
root.mkdir()
registry.factory("dataset", "thyroid").write_sample(root, 0)
for line in sys.stdin.read().splitlines():
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            runner.main(line.split())
    except SystemExit as end:
        print(json.dumps({"command": line, "status": end.code, "output": output.getvalue()}))
"""

PRETRAIN = """
image_size = 32
channels = 1
method = "rotnet"
augmentation = "simclr"
backbone = { name = "conv_stages", widths = [8, 16] }
data = [{ name = "thyroid", root = "thyroid" }]
training = { steps = 2, batch_size = 4, device = "cpu", threads = 1 }
"""

FINETUNE = """
image_size = 32
channels = 1
weights = "pretrained/weights"
backbone = { name = "conv_stages", widths = [8, 16] }
decoder = { name = "new_decoder", width = 8 }
data = { name = "thyroid", root = "thyroid" }
training = { steps = 2, batch_size = 4, device = "cpu", threads = 1 }
"""

LIST = "plugins list --json"
COMMANDS = (
    LIST,
    *(f"plugins check {name} --json" for name in (*FOREIGN, *NEW)),
    "pretrain pretrain.toml --out pretrained",
    "finetune finetune.toml --out finetuned",
    "pretrain new-method/example.toml --out new --set training.steps=2",
)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    clean_environment: Callable[[Path, Iterable[Path]], Path],
) -> Path:
    """A folder with an environment that has all the plugins, and configs that use them."""
    folder = tmp_path_factory.mktemp("foreign")
    for kind in PLUGIN_KINDS:
        write_package(folder, plugin_names(f"new-{kind}", kind), "MIT", Author("Jane Doe"))
    foreign = (path.parent for path in sorted(FOLDER.glob("*/pyproject.toml")))
    clean_environment(folder / "environment", [*foreign, *(folder / name for name in NEW)])
    (folder / "pretrain.toml").write_text(PRETRAIN, encoding="utf-8")
    (folder / "finetune.toml").write_text(FINETUNE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, str]:
    """What each command printed; all of them ended well."""
    ended = subprocess.run(
        [folder / "environment" / "bin" / "python", "-c", RUNNER],
        input="\n".join(COMMANDS),
        cwd=folder,
        env={**os.environ, "SSL_REGISTRY_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    results = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [result["command"] for result in results] == list(COMMANDS)
    for result in results:
        assert result["status"] == 0, (result, ended.stderr)
    return {result["command"]: result["output"] for result in results}


def components_of(run: Path) -> set[tuple[str, str, str]]:
    """Kind, distribution and version of each component that a run says it used."""
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    return {(part["kind"], part["distribution"], part["version"]) for part in config["components"]}


def test_all_are_found(done: dict[str, str]) -> None:
    records = {record["distribution"]: record for record in json.loads(done[LIST])}
    offered = {
        name: [(item["kind"], item["name"]) for item in records[name]["components"]]
        for name in (*FOREIGN, *NEW)
    }
    assert offered == {
        "rotnet": [("method", "rotnet")],
        "thyroid-nodules": [("dataset", "thyroid")],
        "conv-stages": [("backbone", "conv_stages")],
        **{f"new-{kind}": [(kind, f"new_{kind}")] for kind in PLUGIN_KINDS},
    }


@pytest.mark.parametrize("name", [*FOREIGN, *NEW])
def test_the_contract_holds(done: dict[str, str], name: str) -> None:
    checks = json.loads(done[f"plugins check {name} --json"])
    assert len(checks) >= 10
    assert [check for check in checks if not check["passed"]] == []


def test_a_foreign_method_pretrains_a_foreign_backbone_on_a_foreign_organ(
    folder: Path, done: dict[str, str]
) -> None:
    assert {
        ("method", "rotnet", "1.0.0"),
        ("dataset", "thyroid-nodules", "2.1.0"),
        ("backbone", "conv-stages", "0.3.0"),
    } <= components_of(folder / "pretrained")
    rows = (folder / "pretrained" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert 0.5 < json.loads(rows[0])["loss"] < 3  # ln 4 = 1.39 is chance


def test_its_weights_are_finetuned(folder: Path, done: dict[str, str]) -> None:
    assert ("decoder", "new-decoder", "0.1.0") in components_of(folder / "finetuned")
    with (folder / "finetuned" / "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["id"] for row in rows}) == 2  # the test part of a dozen images


def test_a_new_method_trains(folder: Path, done: dict[str, str]) -> None:
    assert ("method", "new-method", "0.1.0") in components_of(folder / "new")
    assert (folder / "new" / "weights" / "model.safetensors").is_file()


@pytest.mark.parametrize(("name", "limit"), [("rotnet", 40), ("thyroid", 60), ("conv_stages", 70)])
def test_few_lines_are_enough_and_the_docs_tell_how_many(name: str, limit: int) -> None:
    files = sorted((FOLDER / name).rglob("*.py"))
    count = sum(path.read_bytes().count(b"\n") for path in files)  # as `wc -l` counts
    assert 0 < count < limit
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if f"foreign_plugins/{name}" in line]
    assert row.split("|")[-2].strip() == str(count)


@pytest.mark.slow
def test_new_plugins_pass_their_own_tests(folder: Path) -> None:
    python = folder / "environment" / "bin" / "python"
    suites = [str(folder / name / "tests") for name in NEW]
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-W", "error"]
    ended = subprocess.run(
        [python, "-m", "pytest", *options, *suites], cwd=folder, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_new_plugins_are_typed(folder: Path) -> None:
    packages = [str(folder / name / name.replace("-", "_")) for name in NEW]
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *packages],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
