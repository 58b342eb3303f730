"""Training commands: what they hand to the library, and what they print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ssl_registry import api
from ssl_registry.cli.runner import runner
from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.study import comparison

PRETRAIN = 'method = "simclr"\nbackbone = "resnet18"\n[[data]]\nname = "busi"\nroot = "r"\n'
FINETUNE = 'backbone = "resnet18"\ndecoder = "unet"\n[data]\nname = "busi"\nroot = "r"\n'


class Recorder:
    """Stands in for a library function and remembers how it was called."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def invoke(*words: str) -> Result:
    return CliRunner().invoke(runner, words)


@pytest.mark.parametrize(
    ("command", "text", "model"),
    [("pretrain", PRETRAIN, PretrainConfig), ("finetune", FINETUNE, FinetuneConfig)],
)
def test_training(
    command: str, text: str, model: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(Path("runs/abc"))
    monkeypatch.setattr(api, command, recorder)
    file = tmp_path / "run.toml"
    file.write_text(text)
    result = invoke(command, str(file))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "run:    runs/abc\nreport: runs/abc/report.html\n"
    options = ["--set", "seed=5", "--set", "training.epochs=2", "--out", "there", "--resume"]
    assert invoke(command, str(file), *options).exit_code == 0
    (plain, defaults), (changed, options_given) = recorder.calls
    assert isinstance(plain[0], model)
    assert (plain[1], defaults) == (None, {"resume": False})
    assert (changed[1], options_given) == (Path("there"), {"resume": True})
    assert (plain[0].seed, changed[0].seed, changed[0].training.epochs) == (0, 5, 2)


@pytest.mark.parametrize("given", [[], ["--resume"]])
def test_ctrl_c_says_how_to_resume(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "finetune", Recorder(KeyboardInterrupt()))
    file = tmp_path / "run.toml"
    file.write_text(FINETUNE)
    result = invoke("finetune", str(file), *given)
    assert result.exit_code == 130
    line = f"interrupted; to go on: ssl-registry finetune {file} --resume\n"
    assert result.stderr == line


def test_evaluate_prints_an_aligned_table(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({"dice/lesion": 0.71234, "n": 156.0, "nothing": float("nan")})
    monkeypatch.setattr(api, "evaluate", recorder)
    result = invoke("evaluate", "runs/abc")
    assert invoke("evaluate", "runs/abc", "--device", "cuda:1").exit_code == 0
    assert recorder.calls == [
        ((Path("runs/abc"),), {"device": "auto"}),
        ((Path("runs/abc"),), {"device": "cuda:1"}),
    ]
    assert result.stdout == (
        "METRIC       VALUE\ndice/lesion  0.7123\nn            156.0000\nnothing      nan\n"
    )


def test_predict_prints_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder([Path("masks/a.png"), Path("masks/b.png")])
    monkeypatch.setattr(api, "predict", recorder)
    result = invoke("predict", "weights", "a.png", "b.jpg", "--out", "masks")
    assert (
        invoke("predict", "w", "a.png", "--out", "m", "--device", "cpu", "--overwrite").exit_code
        == 0
    )
    (args, options), (_, given) = recorder.calls
    assert args == (Path("weights"), (Path("a.png"), Path("b.jpg")), Path("masks"))
    assert options == {"device": "auto", "overwrite": False}
    assert given == {"device": "cpu", "overwrite": True}
    assert result.stdout == "masks/a.png\nmasks/b.png\n"


def test_quickstart(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(Path("there/report.html"))
    monkeypatch.setattr(comparison, "run_comparison", recorder)
    result = invoke("quickstart", "--out", "there", "--set", "seeds=[4]")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "report: there/report.html\n"
    assert invoke("quickstart").exit_code == 0
    (first, out), (default, default_out) = (args for args, _ in recorder.calls)
    assert isinstance(first, ComparisonConfig)
    assert (first.seeds, out, default_out) == ((4,), Path("there"), Path("quickstart"))
    assert len(default.seeds) >= 3
    result = invoke("quickstart", "--set", "pretrain.training.epoch=1")
    assert result.exit_code == 2
    assert "pretrain.training.epoch: unknown key (did you mean 'epochs'?)" in result.stderr


def test_quickstart_goes_on_by_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "run_comparison", Recorder(KeyboardInterrupt()))
    result = invoke("quickstart", "--out", "a b")
    assert result.exit_code == 130
    assert result.stderr == "interrupted; to go on: ssl-registry quickstart --out 'a b'\n"


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_a_file_with_mistakes_starts_nothing(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(Path("runs/abc"))
    monkeypatch.setattr(api, command, recorder)
    file = tmp_path / "run.toml"
    file.write_text("sed = 1\n")
    result = invoke(command, str(file))
    assert result.exit_code == 2
    assert "sed: unknown key (did you mean 'seed'?)" in result.stderr
    assert "Traceback" not in result.stderr
    assert recorder.calls == []
