"""Runs in processes of their own, which can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

TIMEOUT_SECONDS = 60


class Runner:
    """Starts runner processes by forking a process that has imported everything."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fork_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._answer() == ["ready"]

    def start(self, *arguments: str, output: Path, **environment: str) -> int:
        """Start `ssl-registry ARGUMENTS`; gives its process id."""
        cache = {"SSL_REGISTRY_CACHE": os.environ["SSL_REGISTRY_CACHE"], **environment}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([list(arguments), cache, str(output)]) + "\n")
        self._server.stdin.flush()
        word, pid = self._answer()
        assert word == "started"
        return int(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of a process; gives its exit status, negative for a signal."""
        word, ended, status = self._answer()
        assert (word, int(ended)) == ("ended", pid)
        return int(status)

    def wait_all(self, pids: Collection[int]) -> dict[int, int]:
        """Wait for the end of several processes; gives their exit statuses."""
        ended: dict[int, int] = {}
        while len(ended) < len(pids):
            word, pid, status = self._answer()
            assert word == "ended" and int(pid) in pids
            ended[int(pid)] = int(status)
        return ended

    def run(self, *arguments: str, output: Path) -> int:
        """Start `ssl-registry ARGUMENTS` and wait for it."""
        return self.wait(self.start(*arguments, output=output))

    def close(self) -> None:
        self._server.communicate(timeout=TIMEOUT_SECONDS)

    def _answer(self) -> list[str]:
        assert self._server.stdout is not None
        return self._server.stdout.readline().split()


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """Starts and awaits real processes of the runner."""
    started = Runner()
    yield started
    started.close()


def as_toml(table: dict[str, Any], prefix: str = "") -> str:
    """A config table as TOML; JSON's scalars and lists are TOML's."""
    lines, tables = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            tables.append(f"[{prefix}{key}]\n{as_toml(value, f'{prefix}{key}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"[[{prefix}{key}]]\n{as_toml(v, f'{prefix}{key}.')}" for v in value]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *tables]) + "\n"


@pytest.fixture
def configs(
    tmp_path: Path, pretrain_table: dict[str, Any], finetune_table: dict[str, Any]
) -> dict[str, Path]:
    """Config files of a small pre-training and a small fine-tuning, by command."""
    files = {}
    for command, table in (("pretrain", pretrain_table), ("finetune", finetune_table)):
        files[command] = tmp_path / f"{command}.toml"
        files[command].write_text(as_toml(table))
    return files
