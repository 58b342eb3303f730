"""`ssl-registry data`: how data are named, and what list, info and verify tell."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner, Result

from ssl_registry import Component, DatasetInfo, Release, registry
from ssl_registry.build import create
from ssl_registry.cli.data import COMMANDS, data
from ssl_registry.cli.data_argument import data_config, data_configs
from ssl_registry.cli.runner import runner
from ssl_registry.config.folder import FolderDatasetConfig
from ssl_registry.data import verify as verifying
from ssl_registry.data.verify import Count, Verification
from ssl_registry.discovery import PluginRecord
from ssl_registry.errors import ComponentNotFoundError, ConfigError
from ssl_registry.registry import components

FINETUNE = 'backbone = "resnet18"\n[data]\nname = "busi"\nroot = "here"\n'
PRETRAIN = '[[data]]\nname = "busi"\nroot = "here"\n[[data]]\nname = "phantom"\nseed = 3\n'
NAMES = 'data = ["phantom", { name = "busi", root = "there" }]\n'


def invoke(*words: str) -> Result:
    return CliRunner().invoke(runner, ["data", *words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def test_a_name_and_a_folder() -> None:
    plain, placed = data_configs(["phantom", "busi=/images/a=b"])
    assert plain.name == "phantom"
    assert isinstance(placed, FolderDatasetConfig)
    assert placed.root == Path("/images/a=b")
    assert placed.split.kind == "stratified"


@pytest.mark.parametrize(
    ("text", "names"),
    [(FINETUNE, ["busi"]), (PRETRAIN, ["busi", "phantom"]), (NAMES, ["phantom", "busi"])],
)
def test_a_config(file: Path, text: str, names: list[str]) -> None:
    file.write_text(text)
    assert [config.name for config in data_configs([str(file)])] == names


def test_a_config_is_laid_over_its_presets(file: Path) -> None:
    file.write_text('preset = ["moco-recommended", "paper-multi-organ"]\n[data.1]\nroot = "here"\n')
    first, second, third = data_configs([str(file)])
    assert [first.name, second.name, third.name] == ["busi", "camus", "covid_lus"]
    assert second.model_dump()["root"] == Path("here")


def test_overrides_of_one_and_of_several(file: Path) -> None:
    file.write_text(PRETRAIN)
    one = data_config("busi=/x", ["split.seed=7", "root=/y"])
    assert (one.split.seed, one.model_dump()["root"]) == (7, Path("/y"))
    # Places count over all that is named: 0 is the word, 1 and 2 are those of the file.
    settings = ["0.size=64", "2.seed=5", "1.split.kind=random"]
    first, second, third = data_configs(["phantom", str(file)], settings)
    assert first.model_dump()["size"] == 64
    assert second.split.kind == "random"
    assert third.model_dump()["seed"] == 5
    assert third.model_dump()["size"] == 160


@pytest.mark.parametrize("override", ["seed=5", "2.seed=5", "split.seed=5", "0=phantom", "0="])
def test_an_override_that_fits_none_of_several(override: str) -> None:
    with pytest.raises(ConfigError, match=r"begin with the place.*0 to 1"):
        data_configs(["phantom", "busi"], [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1", "has no `data`"),
        ("data = []", "has no `data`"),
        ("data = 3", "run.toml, data must be the name of a dataset"),
        ("[[data]]\nroot = 'x'", "run.toml, data.0 must be the name"),
        ("[data]\nname = 'busi'\nrot = 'x'", "run.toml, data: rot: unknown key (did you mean"),
    ],
)
def test_configs_without_data(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        data_configs([str(file)])
    assert message in str(error.value)


def test_mistaken_names(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ComponentNotFoundError, match="did you mean 'busi'"):
        data_configs(["bus"])
    with pytest.raises(ComponentNotFoundError, match=f"write DATASET={tmp_path}"):
        data_configs([str(tmp_path)])
    with pytest.raises(ConfigError, match=r"cannot read the config .*nothing\.toml"):
        data_configs([str(tmp_path / "nothing.toml")])
    with pytest.raises(ConfigError, match="'phantom': root: unknown key"):
        data_configs(["phantom=/x"])
    file.write_text(PRETRAIN)
    with pytest.raises(ConfigError, match="2 datasets, but one is needed"):
        data_config(str(file))


def test_help_lists_all_commands() -> None:
    for words in ((), ("--help",)):
        result = invoke(*words)
        assert result.exit_code == 0
        listed = [
            line.split()[0]
            for line in result.stdout.split("Commands:\n")[1].splitlines()[: len(COMMANDS)]
        ]
        assert listed == list(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_help_has_an_example(name: str) -> None:
    command = data.get_command(click.Context(data), name)
    groups = list(command.commands) if isinstance(command, click.Group) else []
    for words in ([name], *([name, inner] for inner in groups)):
        result = invoke(*words, "--help")
        assert result.exit_code == 0
        assert f"ssl-registry data {name}" in result.stdout.split("Example")[1]
        assert "\b" not in result.stdout


@pytest.mark.parametrize("words", [["data", "--help"], ["data", "list"], ["data", "info", "busi"]])
def test_looking_around_does_not_import_torch(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from ssl_registry.cli.runner import runner\n"
        "try:\n"
        f"    runner.main({words!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print({'torch', 'pandas', 'matplotlib', 'timm', 'kornia', 'pooch'} & set(sys.modules))\n"
        "print('pydantic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, heavy, pydantic = done.stdout.splitlines()
    assert heavy == "set()"
    assert pydantic == str(words[-1] != "--help")


def test_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(invoke("list", "--json").stdout)
    assert [row["name"] for row in rows] == [f.component.name for f in components("dataset")]
    assert {row["name"]: row["found"] for row in rows}["busi"] is None
    assert "set it to the folder" in invoke("list").stdout
    (tmp_path / "busi").mkdir()
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(tmp_path))
    by_name = {row["name"]: row for row in json.loads(invoke("list", "--json").stdout)}
    assert by_name["busi"] == {
        "name": "busi",
        "organ": "breast",
        "modality": "ultrasound",
        "images": 780,
        "found": True,
        "licence": "CC BY 4.0 (CC-BY-4.0)",
    }
    assert by_name["camus"]["found"] is False
    assert by_name["phantom"]["found"] is None
    text = invoke("list").stdout.splitlines()
    assert text[0].split() == ["NAME", "ORGAN", "MODALITY", "IMAGES", "FOUND", "LICENCE"]
    (line,) = [line for line in text if line.startswith("busi ")]
    assert line.split()[:5] == ["busi", "breast", "ultrasound", "780", "yes"]
    assert text[-1] == f"SSL_REGISTRY_DATA: looked in {tmp_path}"


def test_a_dataset_that_cannot_be_loaded_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_registry import registry

    plain = registry.load_target

    def load(target: str, found: Any) -> Any:
        if target.endswith(":BusiDataset"):
            target = "no_such_module:BusiDataset"
        return plain(target, found)

    monkeypatch.setattr(registry, "load_target", load)
    rows = {row["name"]: row for row in json.loads(invoke("list", "--json").stdout)}
    assert "cannot be loaded: dataset 'busi'" in rows["busi"]["licence"]
    assert "no_such_module" in rows["busi"]["licence"]
    assert rows["phantom"]["organ"] == "mixed"
    assert invoke("info", "busi").exit_code == 2


class OrganConfig(FolderDatasetConfig):
    check_settings: ClassVar[Mapping[str, Any]] = {"organ": "liver"}

    name: str = "of_an_organ"
    organ: str


class OfAnOrgan:
    """A dataset whose facts depend on its settings, and that fails for one organ."""

    def __init__(self, config: OrganConfig) -> None:
        if OrganConfig.check_settings["organ"] == "none":
            raise RuntimeError("there is no such organ")
        self.info = DatasetInfo(
            organ=config.organ, modality="ultrasound", licence="own", citation="", source=""
        )


def test_facts_may_depend_on_settings_without_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Component(
        "dataset", "of_an_organ", f"{__name__}:OfAnOrgan", config=f"{__name__}:OrganConfig"
    )
    others = tuple({found.plugin.name: found.plugin for found in components()}.values())
    record = PluginRecord("organs", __name__, "organs-dist", "1", "ok", components=(part,))
    monkeypatch.setattr(registry, "plugins", lambda: (*others, record))
    rows = {row["name"]: row for row in json.loads(invoke("list", "--json").stdout)}
    assert (rows["of_an_organ"]["organ"], rows["of_an_organ"]["found"]) == ("liver", None)
    assert "the folder that its settings name" in invoke("info", "of_an_organ").stdout

    monkeypatch.setattr(OrganConfig, "check_settings", {"organ": "none"})
    rows = {row["name"]: row for row in json.loads(invoke("list", "--json").stdout)}
    assert "RuntimeError: there is no such organ" in rows["of_an_organ"]["licence"]
    assert rows["phantom"]["organ"] == "mixed"
    result = invoke("info", "of_an_organ")
    assert result.exit_code == 2
    assert "of plugin organs" in result.stderr


def described(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    factory: Any = type(create("dataset", "busi"))
    monkeypatch.setattr(factory, "info", replace(factory.info, **facts))


def test_info(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info: DatasetInfo = create("dataset", "busi").info
    assert info.release is not None
    text = invoke("info", "busi").stdout
    file = info.release.downloads[0]
    for part in (info.citation, info.licence, info.source, file.url, file.checksum, "images: 780"):
        assert part in text
    assert "which is not set" in text
    assert "skip_unreadable" in text
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(tmp_path))
    assert f"{tmp_path / 'busi'} (not there)" in invoke("info", "busi").stdout
    (tmp_path / "busi").mkdir()
    assert f"{tmp_path / 'busi'} (found)" in invoke("info", "busi").stdout
    as_json = json.loads(invoke("info", "busi", "--json").stdout)
    assert as_json["release"]["downloads"][0]["checksum"] == file.checksum
    big = replace(file, size=133_917_740, checksum="")
    release = Release("v2", downloads=(big,), by_hand="sign the form")
    described(monkeypatch, release=release, classes=("a", "b"), exclusive=False)
    text = invoke("info", "busi").stdout
    for part in ("size 133.9 MB", "checksum none", "by hand: sign the form", "a, b (may overlap)"):
        assert part in text
    described(monkeypatch, release=None)
    assert "nothing is said of an official release" in invoke("info", "busi").stdout


@pytest.mark.parametrize("found", components("dataset"), ids=lambda found: found.component.name)
def test_info_of_every_dataset(found: Any) -> None:
    result = invoke("info", found.component.name)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{found.component.name}: ")


def test_info_of_what_is_not_there() -> None:
    result = invoke("info", "bus")
    assert result.exit_code == 2
    assert "did you mean 'busi'" in result.stderr


def test_verify(tiny_busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = create("dataset", "busi").info.release
    totals = {"images": 40, "label/normal": 10}
    described(monkeypatch, release=replace(release, totals=totals))
    root = Path(shutil.copytree(tiny_busi, tmp_path / "busi"))
    good = invoke("verify", f"busi={root}")
    assert good.exit_code == 0, good.output
    assert good.stdout.splitlines() == [
        f"busi in {root}",
        "  COUNT            FOUND  RELEASE",
        "  images           40     40",
        "  masks            40     -",
        "  label/benign     16     -",
        "  label/malignant  14     -",
        "  label/normal     10     10",
        "  nothing is wrong",
    ]
    (root / "normal" / "normal (1).png").write_bytes(b"x")
    (root / "benign" / "benign (1)_mask.png").unlink()
    (root / "normal" / "normal (2).png").unlink()
    (root / "normal" / "normal (2)_mask.png").unlink()
    bad = invoke("verify", f"busi={root}")
    assert bad.exit_code == 1
    assert "label/normal     9      10       differs" in bad.stdout
    assert "image: cannot read the image" in bad.stdout
    assert bad.stdout.splitlines()[-1] == "  2 problems, 2 counts differ from the release"
    as_json = invoke("verify", f"busi={root}", "phantom", "--set", "1.images_per_organ=1", "--json")
    assert as_json.exit_code == 1
    busi, phantom = json.loads(as_json.stdout)
    assert (busi["ok"], phantom["ok"]) == (False, True)
    assert [problem["sample"] for problem in busi["problems"]] == ["benign (1)", "normal (1)"]
    assert {"name": "images", "found": 39, "expected": 40, "ok": False} in busi["counts"]
    assert busi["root"] == str(root)
    assert phantom["root"] is None


def test_verify_tells_some_of_many_problems(tiny_busi: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_busi, tmp_path / "busi"))
    for path in root.glob("*/*).png"):
        path.write_bytes(b"x")
    result = invoke("verify", f"busi={root}")
    assert result.exit_code == 1
    assert result.stdout.count("image: ") == 20
    assert "and 20 more problems; --json has them all" in result.stdout


def test_verify_tells_some_of_many_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [Count("images", 99, 99), *(Count(f"label/{n}", 1) for n in range(99))]
    counts[50] = Count("label/odd", 1, 2)
    result = Verification(tuple(counts), ())
    monkeypatch.setattr(verifying, "verify", lambda config: result)
    lines = invoke("verify", "phantom").stdout.splitlines()
    assert len(lines) == 2 + 20 + 1 + 2
    assert lines[-3].split() == ["label/odd", "1", "2", "differs"]
    assert lines[-2] == "  and 79 more counts; --json has them all"


def test_verify_of_nothing(tmp_path: Path) -> None:
    result = invoke("verify", f"busi={tmp_path}")
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr
