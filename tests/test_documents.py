"""The code blocks of the README and the docs run as they stand."""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
import zlib
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import ssl_registry as sr
from ssl_registry.cli.config import detect
from ssl_registry.cli.runner import runner
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.toml)\n")


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for found, code in BLOCK.findall(text) if found == language]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def run_blocks(document: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "document"}
    for code in blocks(document, "python"):
        exec(compile(code, document, "exec", dont_inherit=True), names)
    return names


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks("README.md")
    assert torch.isfinite(names["output"].loss)
    assert (tmp_path / "runs/from-code/report.html").is_file()
    assert names["model"].num_features == 512


def test_the_configs_of_the_readme_are_valid() -> None:
    found = {}
    for code in blocks("README.md", "toml"):
        named = FILE.match(code)
        if named:
            model = PretrainConfig if named[1] == "pretrain.toml" else FinetuneConfig
            found[code] = validate(model, tomllib.loads(code), "README.md")
    assert {type(config) for config in found.values()} == {PretrainConfig, FinetuneConfig}


def test_the_mistake_of_the_readme_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = re.search(r"^\$ ssl-registry (.*)\n(error: .*)$", readme(), re.MULTILINE)
    assert shown
    monkeypatch.chdir(tmp_path)
    Path("pretrain.toml").write_text(blocks("README.md", "toml")[0], encoding="utf-8")
    result = CliRunner().invoke(runner, shown[1].split())
    assert (result.exit_code, result.stderr) == (2, shown[2] + "\n")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_method_of_the_plugin_page_learns() -> None:
    names = run_blocks("docs/plugins.md")
    torch.manual_seed(0)
    trunk = sr.Trunk(sr.create("backbone", "unet_encoder", in_channels=1, widths=(4, 8)))
    context = sr.MethodContext(num_images=8, total_steps=1, batch_size=8, image_size=16, channels=1)
    method = names["Rotation"](trunk, names["RotationConfig"](), context)
    views = sr.Views(images=(torch.rand(8, 1, 16, 16),))
    output = method(sr.PretrainBatch(views, sample_id=torch.arange(8)))
    assert output.loss.item() == pytest.approx(np.log(4), abs=1.0)
    output.loss.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_the_dataset_of_the_plugin_page_reads(tmp_path: Path) -> None:
    names = run_blocks("docs/plugins.md")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (20, 10), 200).save(tmp_path / folder / "a.png")
    dataset = names["Thyroid"](names["ThyroidConfig"](root=tmp_path))
    (sample,) = dataset.samples()
    assert dataset.read_image(sample).shape == (10, 20)
    assert dataset.read_mask(sample).min() == 1
    empty = names["Thyroid"](names["ThyroidConfig"](root=tmp_path / "none"))
    with pytest.raises(sr.DatasetNotFoundError):
        empty.samples()


# The guides: their files are written, their commands run in order, and what comes out is compared.

GUIDES = ["docs/data.md", "docs/pretraining.md"]
# A gray image, or the gray values a mask has from left to right, by the name of the file's folder.
MASKS = {"masks": (255, 0, 0, 0), "labels": (0, 128, 255, 0)}
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def sequence(document: str) -> list[tuple[str, str]]:
    """Language and text of the blocks, in order."""
    return BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


def is_tree(language: str, code: str) -> bool:
    return language == "text" and all(line.endswith(".png") for line in code.splitlines())


def write_picture(path: Path) -> None:
    values = MASKS["masks"] if "_mask" in path.stem else MASKS.get(path.parent.name)
    if values is None:
        pixels = np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 256, (48, 64))
    else:
        pixels = np.tile(np.repeat(values, 16), (48, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def write_files(document: str) -> None:
    """The pictures and configs that the document names, into the current folder."""
    for language, code in sequence(document):
        named = FILE.match(code)
        if language == "toml" and named:
            Path(named[1]).write_text(code, encoding="utf-8")
        elif is_tree(language, code):
            for line in code.splitlines():
                write_picture(Path(line))


def sessions(code: str) -> list[tuple[str, str]]:
    """Each command of a console block, with what it should print."""
    parts = re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def printed(command: str) -> str:
    """What a command prints: its output, or its error."""
    program, *words = shlex.split(command)
    assert program == "ssl-registry"
    result = CliRunner().invoke(runner, words)
    told = re.search(r"^error: .*", result.stderr, re.MULTILINE | re.DOTALL)
    assert result.exit_code == 0 or told, result.output
    return result.stdout + (told[0] if told else "")


def comparable(text: str, *, exact: bool) -> str:
    """Text without its alignment; and without its numbers where these depend on the machine."""
    text = "\n".join(" ".join(line.split()) for line in text.strip().splitlines())
    return text if exact else NUMBER.sub("N", text)


def matches(shown: str, found: str) -> bool:
    """Whether they agree, where `...` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, found, re.DOTALL) is not None


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_the_guides_print_what_is_shown(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_REGISTRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSL_REGISTRY_DATA", raising=False)
    write_files(guide)
    for _, code in (block for block in sequence(guide) if block[0] == "console"):
        for command, shown in sessions(code):
            exact = command.startswith(("ssl-registry data", "ssl-registry config"))
            found = comparable(printed(command), exact=exact)
            assert matches(comparable(shown, exact=exact), found), f"{command}\n{found}"


@pytest.mark.parametrize("guide", GUIDES)
def test_the_configs_of_the_guides_are_valid(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks(guide, "toml"):
        table = tomllib.loads(code)
        if set(table) == {"data"} and isinstance(table["data"], dict):
            table |= {"backbone": "resnet18", "decoder": "unet"}
        elif "method" not in table and "preset" not in table:
            table = {"method": "simclr", "backbone": "resnet18", "data": ["phantom"], **table}
        model = FinetuneConfig if detect(table) == "finetune" else PretrainConfig
        validate(model, table, f"{guide}: {code}")


def parse(line: str, *, whole: bool) -> None:
    """Raise unless the commands and options of a line exist; and the arguments fit, if whole."""
    command: click.Command = runner
    words = shlex.split(line, comments=True)[1:]
    while isinstance(command, click.Group):
        context = command.make_context("ssl-registry", words)
        _, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None, line
        command = found
    if "--help" not in words:
        command.make_context("ssl-registry", words, resilient_parsing=not whole)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_other_commands_of_the_guides_exist(guide: str) -> None:
    lines = [line for code in blocks(guide, "sh") for line in code.splitlines()]
    for line in lines:
        assert line.startswith(("ssl-registry ", "export "))
        if line.startswith("ssl-registry "):
            parse(line, whole=True)
    # In the running text arguments may be left out.
    text = BLOCK.sub("", (ROOT / guide).read_text(encoding="utf-8"))
    for line in re.findall(r"`(ssl-registry [^`]*)`", text):
        parse(line, whole=False)


@pytest.mark.data
@pytest.mark.slow
def test_what_the_guide_shows_of_busi(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_REGISTRY_DATA", str(data_root))
    content = sequence("docs/data.md")
    for (language, command), (next_language, shown) in itertools.pairwise(content):
        if (language, next_language) == ("sh", "text") and "busi" in command:
            short = re.sub(r" --out \S+", "", command)  # the pictures are not asked for
            found = printed(short).replace(str(data_root), "/images")
            assert comparable(found, exact=True).startswith(comparable(shown, exact=True))
