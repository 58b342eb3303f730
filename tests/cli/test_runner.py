"""The top of the runner: exit status, messages, and what is imported."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

import ssl_registry
from ssl_registry.cli.runner import COMMANDS, runner
from ssl_registry.errors import DataError


def invoke(*words: str) -> Result:
    return CliRunner().invoke(runner, words)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Run a command whose body raises a given error."""

    def run(error: BaseException) -> Result:
        def body() -> None:
            raise error

        command = click.Command("fails", callback=body)
        monkeypatch.setattr(runner, "targets", {"fails": "stand_in:fails"})
        monkeypatch.setattr(runner, "get_command", lambda ctx, name: command)
        return invoke("fails")

    return run


@pytest.mark.parametrize("group", ["data", "weights", "study"])
def test_a_group_without_a_command_shows_its_help(group: str) -> None:
    result = invoke(group)
    assert result.exit_code == 0
    assert result.stdout == invoke(group, "--help").stdout


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_names_every_command(words: tuple[str, ...]) -> None:
    result = invoke(*words)
    assert result.exit_code == 0
    listed = [
        line.split()[0] for line in result.stdout.split("Commands:\n")[1].splitlines() if line
    ]
    assert listed[: len(COMMANDS)] == list(COMMANDS)
    assert "..." not in result.stdout.split("Commands:\n")[1]


def test_version() -> None:
    result = invoke("--version")
    assert result.stdout == f"ssl-registry {ssl_registry.__version__}\n"
    assert result.exit_code == 0


def commands() -> list[tuple[str, ...]]:
    """Every command line that names a command, also those inside groups."""
    context = click.Context(runner)
    found: list[tuple[str, ...]] = []
    for name in runner.list_commands(context):
        command = runner.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found.extend((name, inner) for inner in command.commands)
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_help_has_an_example(words: tuple[str, ...]) -> None:
    result = invoke(*words, "--help")
    assert result.exit_code == 0
    assert f"ssl-registry {words[0]}" in result.stdout.split("Example")[1]
    assert "\b" not in result.stdout


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("plugin",), "error: there is no command 'plugin' (did you mean 'plugins'?)"),
        (("--nope",), "error: No such option"),
        (("pretrain",), "error: Missing argument 'FILE'."),
        (("config",), "error: Missing argument 'FILE'."),
        (("predict", "weights", "image.png"), "error: Missing option '--out'"),
        (("components", "show", "method"), "error: Missing argument 'NAME'."),
        (("plugins", "list", "extra"), "error: Got unexpected extra argument"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], first: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith(first)
    assert len(lines) == 2
    assert lines[1].startswith("try: ssl-registry ")


def test_a_users_mistake_is_told_without_traceback(
    failing: Callable[[BaseException], Result],
) -> None:
    result = failing(DataError("the image is torn"))
    assert (result.exit_code, result.stderr) == (2, "error: the image is torn\n")


def test_our_own_fault_is_told_with_traceback(failing: Callable[[BaseException], Result]) -> None:
    result = failing(KeyError("lost"))
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "KeyError: 'lost'" in result.stderr
    assert "bug in ssl_registry" in result.stderr.splitlines()[-1]


def test_a_full_disk_is_no_bug(failing: Callable[[BaseException], Result]) -> None:
    result = failing(OSError(errno.ENOSPC, "No space left on device", "runs/a/log.jsonl"))
    assert result.exit_code == 2
    assert result.stderr == "error: No space left on device: runs/a/log.jsonl\n"


def test_no_more_memory_is_no_bug(failing: Callable[[BaseException], Result]) -> None:
    for error in (torch.OutOfMemoryError("CUDA out of memory: 3 GiB"), MemoryError("9 GiB")):
        result = failing(error)
        assert result.exit_code == 2
        assert f"error: out of memory: {error}\nlower training.batch_size" in result.stderr
        assert "Traceback" not in result.stderr


def test_other_system_errors_are_bugs(failing: Callable[[BaseException], Result]) -> None:
    assert failing(FileNotFoundError(errno.ENOENT, "No such file", "x")).exit_code == 1
    assert failing(EOFError()).exit_code == 1


def test_ctrl_c(failing: Callable[[BaseException], Result]) -> None:
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "words",
    [["--help"], ["plugins", "list"], ["plugins", "list", "--json"], ["components"]],
    ids=str,
)
def test_looking_around_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import json, sys\n"
        "from ssl_registry.cli.runner import runner\n"
        "try:\n"
        f"    runner.main({words!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    modules = set(json.loads(python(code).splitlines()[-1]))
    assert "click" in modules
    assert not modules & {"torch", "pydantic", "rich", "numpy", "timm", "kornia", "PIL", "pandas"}


def test_console_script() -> None:
    script = Path(sysconfig.get_path("scripts")) / "ssl-registry"
    done = subprocess.run([script, "plugins", "list"], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["PLUGIN", "DISTRIBUTION", "VERSION", "STATUS"]


def test_ctrl_c_in_a_training_says_how_to_go_on(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        # A run started in the background of a script would ignore the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ssl_registry import api\n"
        "def pretrain(*args, **kwargs):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
        "api.pretrain = pretrain\n"
        "from ssl_registry.cli.runner import runner\n"
        "runner.main(['pretrain', 'a b.toml', '--set', 'seed=3'])\n"
    )
    tmp_path.joinpath("a b.toml").write_text(
        'method = "simclr"\nbackbone = "resnet18"\ndata = ["phantom"]\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert first == "started\n", stderr
    assert process.returncode == 130
    assert stderr == (
        "interrupted; to go on: ssl-registry pretrain 'a b.toml' --set seed=3 --resume\n"
    )
