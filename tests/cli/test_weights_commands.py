"""`ssl-registry weights`: show, check, compare, export."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli import weights_export
from ssl_registry.cli.runner import runner


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(runner, ["weights", *map(str, words)])


@pytest.fixture
def folder(finetuned: Path) -> Path:
    return finetuned / "weights"


def test_show_is_readable(folder: Path) -> None:
    result = invoke("show", folder)
    assert result.exit_code == 0, result.stderr
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0] == str(folder)
    for start in ("content", "architecture", "images", "classes", "licence", "sha256", "digest"):
        assert any(line.startswith(start) for line in lines), start
    assert any(line.startswith("busi") and "CC" in line for line in lines)
    assert any(line.startswith("backbone") and "unet_encoder" in line for line in lines)
    table = json.loads(invoke("show", folder, "--json").stdout)
    assert table["content"] == "segmentation"
    assert table["tensors"] > 10 and table["numbers"] > 1000


def test_show_imports_neither_torch_nor_timm(folder: Path) -> None:
    code = (
        "import json, sys\n"
        "from ssl_registry.cli.runner import runner\n"
        "try:\n"
        f"    runner.main(['weights', 'show', {str(folder)!r}])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "safetensors" in modules
    assert not modules & {"torch", "torchvision", "timm", "kornia", "pandas", "PIL", "scipy"}


def test_a_number_without_end_is_not_shown(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "weights")
    file = tmp_path / "weights/ssl_registry.json"
    card = json.loads(file.read_text())
    file.write_text(json.dumps({**card, "summary": {"steps": 10**400, "epochs": 2}}))
    result = invoke("show", tmp_path / "weights")
    assert result.exit_code == 0, result.output
    assert "2 epochs" in result.stdout and "steps" not in result.stdout


def test_show_of_something_else(tmp_path: Path) -> None:
    result = invoke("show", tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "holds no ssl_registry.json, so it is no folder of weights" in result.stderr


def test_check_tells_and_exits(folder: Path, tmp_path: Path) -> None:
    result = invoke("check", folder)
    assert result.exit_code == 0, result.stdout
    assert "loads    ok" in result.stdout and "licence  note" in result.stdout
    bad = tmp_path / "bad"
    bad.mkdir()
    for file in folder.iterdir():
        (bad / file.name).write_bytes(file.read_bytes())
    content = bytearray((bad / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (bad / "model.safetensors").write_bytes(content)
    result = invoke("check", bad, "--json")
    assert result.exit_code == 1
    wrong = [item for item in json.loads(result.stdout) if item["state"] == "wrong"]
    assert [item["subject"] for item in wrong] == ["file"]


def test_compare(folder: Path) -> None:
    result = invoke("compare", folder, folder)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("all tensors are equal, bit for bit\n")
    assert "backbone.levels.0" in result.stdout and "1.000000" in result.stdout
    assert json.loads(invoke("compare", folder, folder, "--json").stdout)["same"] is True


def test_export_wants_a_licence(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("export", folder, "--to", "torch-export", "--out", out)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[0].startswith("trained on busi: licence")
    assert "say it with --licence" in lines[-1]
    assert not out.exists()


def test_export_asks_at_a_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_export, "at_terminal", lambda: True)
    out = tmp_path / "out"
    words = ["weights", "export", str(folder), "--to", "torch-export", "--out", str(out)]
    result = CliRunner().invoke(runner, words, input="CC-BY-4.0\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(out)
    assert json.loads((out / "ssl_registry.json").read_text())["licence"] == "CC-BY-4.0"
    assert invoke("check", out).exit_code == 0
    assert "laid out for torch-export" in invoke("show", out).stdout
    again = invoke("export", out, "--to", "onnx", "--out", tmp_path / "b", "--licence", "MIT")
    assert again.exit_code == 2 and "was exported for torch-export" in again.stderr


def test_export_warns_of_data_that_forbid_commerce(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    card = json.loads((copy / "ssl_registry.json").read_text())
    card["run"]["data"][0]["licence"] = "CC BY-NC 4.0"
    (copy / "ssl_registry.json").write_text(json.dumps(card))
    result = invoke(
        *("export", copy, "--to", "torch-export", "--out", tmp_path / "out", "--licence", "MIT")
    )
    assert result.exit_code == 0, result.stderr
    assert "warning: busi (CC BY-NC 4.0) may not be used commercially" in result.stderr


def test_export_says_what_a_target_lacks(folder: Path, tmp_path: Path) -> None:
    result = invoke(
        *("export", folder, "--to", "timm", "--out", tmp_path / "out", "--licence", "MIT")
    )
    assert result.exit_code == 2
    assert "'unet_encoder' with these settings is no network of timm" in result.stderr
