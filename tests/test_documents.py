"""The code blocks of the README and the docs run as they stand.

Pages of `WALKED` are gone through from top to bottom, in a folder of their own: files they show are
written, commands and Python are run, and what is printed is compared. On all other pages Python is
compiled, commands are parsed with their options, and configs are checked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import os
import re
import shlex
import sys
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import ssl_registry as sr
from ssl_registry import discovery
from ssl_registry.cli.config import detect
from ssl_registry.cli.runner import runner
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.pretrain import PretrainConfig

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TABLE_FILE = re.compile(r"# ([\w-]+\.toml)\n")
CODE_FILE = re.compile(r"# (\w+/\w+\.py)\n")
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

# Pages that others generate or that hold results have tests of their own.
PAGES = [
    "README.md",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if not {"components", "results"} & set(path.relative_to(ROOT / "docs").parts)
    ),
]
WALKED = [
    "docs/data.md",
    "docs/pretraining.md",
    "docs/tutorial.md",
    "docs/howto/own_images.md",
    "docs/howto/own_method.md",
    "docs/howto/own_organ.md",
    "docs/howto/resume.md",
    pytest.param("docs/howto/weights_elsewhere.md", marks=[pytest.mark.parity, pytest.mark.slow]),
    pytest.param("docs/howto/fewer_labels.md", marks=pytest.mark.slow),
]
# Numbers that make the runs of a page short where the test is not `slow`.
SHORTER = {
    "docs/tutorial.md": {"steps": 2, "images_per_organ": 60, "batch_size": 4},
    "docs/howto/fewer_labels.md": {"steps": 2, "images_per_organ": 80, "batch_size": 4},
}
# Pages that go on where another ended.
AFTER = {"docs/howto/fewer_labels.md": "docs/tutorial.md"}
# Commands that take long; elsewhere they are only parsed, and run where all is run.
LONG = ("ssl-registry plugins check",)
# What stands beside `ssl-registry` in blocks of commands, and why no test runs it.
OTHER_PROGRAMS = {
    "python -m venv": "makes the reader's environment",
    ". .venv/bin/activate": "the same",
    "pip install": "installs; CI runs the README's two set-up commands",
    "pytest": "runs this",
    "export ": "sets the reader's environment",
    "cd ": "goes into a folder of the reader's",
    "hf auth login": "asks for a password",
    "#": "a remark",
    "srun ": "needs a cluster",
    "torchrun ": "starts several processes; tests/training does",
}
# Blocks that need what the tests do not install; they run where it is there.
OPTIONAL = {"monai": "MONAI is no dependency"}


def sequence(document: str) -> list[tuple[str, str]]:
    """Language and text of the blocks, in order."""
    return BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


def blocks(document: str, *languages: str) -> list[str]:
    return [code for language, code in sequence(document) if language in languages]


def run_code(code: str, document: str, names: dict[str, Any]) -> str:
    """Run Python as a reader would; gives what it prints."""
    needed = re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)
    if any(name in OPTIONAL and not importlib.util.find_spec(name) for name in needed):
        return ""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, document, "exec", dont_inherit=True), names)
    return out.getvalue()


def run_blocks(document: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "document"}
    for code in blocks(document, "python"):
        run_code(code, document, names)
    return names


# The README and the page of contracts.


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks("README.md")
    assert torch.isfinite(names["output"].loss)
    assert (tmp_path / "runs/from-code/report.html").is_file()
    assert names["model"].num_features == 512


def test_the_mistake_of_the_readme_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ ssl-registry (.*)\n(error: .*)$", text, re.MULTILINE)
    assert shown
    monkeypatch.chdir(tmp_path)
    named = [code for code in blocks("README.md", "toml") if code.startswith("# pretrain.toml")]
    Path("pretrain.toml").write_text(named[0], encoding="utf-8")
    result = CliRunner().invoke(runner, shown[1].split())
    assert (result.exit_code, result.stderr) == (2, shown[2] + "\n")


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


# Pages that are walked through.

# The gray values a mask has from left to right, by the name of its folder.
MASKS = {"masks": (255, 0, 0, 0), "labels": (0, 128, 255, 0)}


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


def shortened(code: str, numbers: dict[str, int]) -> str:
    """A config with other numbers for these keys."""
    for key, number in numbers.items():
        code = re.sub(rf"^{key} = \d+", f"{key} = {number}", code, flags=re.MULTILINE)
    return code


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


class Reader:
    """Someone who does what a page says, in the current folder.

    Args:
        page: The page.
        patch: Undoes what is done to this process.
        whole: Whether long commands are run, and runs are as long as the page says.
    """

    def __init__(self, page: str, patch: pytest.MonkeyPatch, *, whole: bool) -> None:
        self.page, self.patch, self.whole = page, patch, whole
        self.names: dict[str, Any] = {"__name__": "document"}

    def read(self) -> None:
        """Do all of it. Configs and pictures that are shown are there from the start."""
        for language, code in sequence(self.page):
            named = TABLE_FILE.match(code)
            if language == "toml" and named:
                numbers = {} if self.whole else SHORTER.get(self.page, {})
                Path(named[1]).write_text(shortened(code, numbers), encoding="utf-8")
            elif is_tree(language, code):
                for line in code.splitlines():
                    write_picture(Path(line))
        for language, code in sequence(self.page):
            if language == "console":
                self._commands(code)
            elif language == "python":
                self._python(code)
            elif language == "sh":
                self._shell(code)

    def _commands(self, code: str) -> None:
        for command, shown in sessions(code):
            if command.startswith(LONG) and not self.whole:
                parse(command, whole=True)
                continue
            exact = command.startswith(("ssl-registry data", "ssl-registry config"))
            found = comparable(printed(command), exact=exact)
            assert matches(comparable(shown, exact=exact), found), f"{command}\n{found}"

    def _python(self, code: str) -> None:
        named = CODE_FILE.match(code)
        if named:
            Path(named[1]).write_text(code.partition("\n")[2], encoding="utf-8")
        else:
            run_code(code, self.page, self.names)

    def _shell(self, code: str) -> None:
        """Go into a folder and install what is there; commands without output are not run."""
        for line in code.splitlines():
            if line.startswith("cd "):
                self.patch.chdir(line.removeprefix("cd "))
            elif line.startswith("pip install -e"):
                install(Path.cwd(), self.patch)


def install(package: Path, patch: pytest.MonkeyPatch) -> None:
    """What `pip install -e` of a package does, for this process and those it starts."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = package / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = [
        f"{key} = {target}" for key, target in project["entry-points"]["ssl_registry"].items()
    ]
    text = "\n".join(["[ssl_registry]", *points]) + "\n"
    (info / "entry_points.txt").write_text(text, encoding="utf-8")
    patch.syspath_prepend(str(package))
    beside = os.environ.get("PYTHONPATH")
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(package), beside])))
    discovery.plugins.cache_clear()


@pytest.fixture
def reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, bool], Reader]]:
    """`reader(page, whole)` in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = set(sys.modules)
    yield lambda page, whole: Reader(page, monkeypatch, whole=whole)
    discovery.plugins.cache_clear()
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("turns", "thyroid"):
            del sys.modules[name]


@pytest.mark.parametrize("page", WALKED)
def test_a_page_does_what_it_says(page: str, reader: Callable[[str, bool], Reader]) -> None:
    if page in AFTER:
        reader(AFTER[page], False).read()
    reader(page, False).read()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["docs/tutorial.md", "docs/howto/own_method.md", "docs/howto/own_organ.md"]
)
def test_a_page_does_all_it_says(page: str, reader: Callable[[str, bool], Reader]) -> None:
    reader(page, True).read()


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


# All pages.


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_tested(page: str) -> None:
    known = {"python", "py", "toml", "console", "sh", "bash", "text"}
    # The README's set-up commands stand without a language.
    bare = {""} if page == "README.md" else set()
    assert {language for language, _ in sequence(page)} <= known | bare


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles(page: str) -> None:
    for code in blocks(page, "python", "py"):
        compile(code, page, "exec", dont_inherit=True)


@pytest.mark.parametrize("page", PAGES)
def test_configs_are_valid(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for code in blocks(page, "toml"):
        table = tomllib.loads(code)
        if {"project", "pretrain"} & set(table):
            continue  # of a package; and a preset, which holds parts of configs
        if set(table) == {"data"} and isinstance(table["data"], dict):
            table |= {"backbone": "resnet18", "decoder": "unet"}
        elif not {"method", "preset", "decoder", "weights"} & set(table):
            table = {"method": "simclr", "backbone": "resnet18", "data": ["phantom"], **table}
        if set(table) <= {"backbone", "decoder"}:
            table |= {"data": "phantom"}
        model = FinetuneConfig if detect(table) == "finetune" else PretrainConfig
        validate(model, table, f"{page}: {code}")


def parse(line: str, *, whole: bool) -> None:
    """Raise unless the commands and options of a line exist; and the arguments fit, if whole."""
    command: click.Command = runner
    words = shlex.split(line, comments=True)[1:]
    while isinstance(command, click.Group):
        context = command.make_context("ssl-registry", words, resilient_parsing=not whole)
        if not context._protected_args:
            return  # the group itself, such as `ssl-registry --help`
        _, found, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert found is not None, line
        command = found
    if "--help" not in words:
        command.make_context("ssl-registry", words, resilient_parsing=not whole)


def command_lines(code: str) -> list[str]:
    """The commands of a block; one that ends in a backslash goes on in the next line."""
    return [line.strip() for line in code.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page: str) -> None:
    for code in blocks(page, "sh", "bash"):
        for line in command_lines(code):
            launcher, found, words = line.partition("ssl-registry ")
            if found:
                parse(found + words.partition(" && ")[0], whole=True)
            assert (found and not launcher) or line.startswith(tuple(OTHER_PROGRAMS)), line
    # In the running text arguments may be left out.
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for line in re.findall(r"`(ssl-registry [^`]*)`", text):
        parse(" ".join(line.split()), whole=False)
