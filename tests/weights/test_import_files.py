"""Files that are no weights, or more than weights: refused with a clear error, nothing written."""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ssl_registry.build import build_backbone
from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.load import validate
from ssl_registry.errors import UserError, WeightsError
from ssl_registry.weights.foreign_file import read_foreign
from ssl_registry.weights.importing import import_file
from ssl_registry.weights.layouts import Source
from ssl_registry.weights.networks import load_backbone

CONFIG = validate(
    ImportConfig, {"backbone": {"name": "unet_encoder", "widths": [4, 8]}, "channels": 1}, "test"
)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(build_backbone(CONFIG.backbone, 1).exported().state_dict())


def refused(file: Path, message: str, source: Source | None = None) -> str:
    """The error of the import, after which nothing is there that was not before."""
    before = sorted(file.parent.rglob("*"))
    with pytest.raises(WeightsError, match=message) as error:
        import_file(file, source, CONFIG, file.parent / "weights")
    assert sorted(file.parent.rglob("*")) == before
    return str(error.value)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("forced", [True, False])
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path,
    state: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    zipped: bool,
    forced: bool,
) -> None:
    trace = tmp_path / "trace"
    content = {"state_dict": state, "callbacks": Touch(trace)}
    file = tmp_path / "last.ckpt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    if forced:
        # Set by those who want their own files read; it must not hold for this command.
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    refused(file, r"holds more than tensors \(posix.system\)")
    assert not trace.exists()
    torch.load(file, weights_only=False)
    assert trace.exists()


def test_hyper_parameters_that_are_objects_are_refused_with_a_way_out(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    file = tmp_path / "old.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": argparse.Namespace(lr=0.1)}, file)
    message = refused(file, r"holds more than tensors \(argparse.Namespace\)")
    _, *program = message.splitlines()
    # The way out, as it is told, works.
    names: dict[str, Any] = {"torch": torch}
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec("\n".join(line.strip() for line in program), names)
    finally:
        os.chdir(here)
    import_file(tmp_path / "tensors.pth", None, CONFIG, tmp_path / "weights")
    backbone, _ = load_backbone(tmp_path / "weights")
    loaded = backbone.exported().state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_other_entries_of_a_checkpoint_are_ignored(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    other = {"optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}], "epoch": 3}
    plain = {"hyper_parameters": {"lr": 0.1, "name": "x"}, "pytorch-lightning_version": "2.6.0"}
    torch.save({**other, **plain, "state_dict": state}, tmp_path / "a.ckpt")
    assert read_foreign(tmp_path / "a.ckpt").entry == "state_dict"
    torch.save({**plain, "weights": state, "averaged": state}, tmp_path / "b.ckpt")
    refused(tmp_path / "b.ckpt", "several: weights, averaged.*--entry")
    found = read_foreign(tmp_path / "b.ckpt", "averaged")
    assert found.entry == "averaged" and found.tensors.keys() == state.keys()
    with pytest.raises(WeightsError, match="no tensors under 'ema', only hyper_parameters"):
        read_foreign(tmp_path / "b.ckpt", "ema")


def write_text(file: Path) -> None:
    file.write_text("<html>404: Not Found</html>")


def write_nothing(file: Path) -> None:
    file.touch()


def write_list(file: Path) -> None:
    torch.save([torch.ones(2)], file)


def write_numbers(file: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, file)


def write_mixed(file: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.ones(2), "name": "x"}}, file)


def write_complex(file: Path) -> None:
    torch.save({"a.weight": torch.ones(2, dtype=torch.complex64)}, file)


def write_sparse(file: Path) -> None:
    torch.save({"a.weight": torch.eye(3).to_sparse()}, file)


def write_meta(file: Path) -> None:
    torch.save({"a.weight": torch.ones(2, device="meta")}, file)


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("a.pth", write_nothing, "is empty"),
    ("a.safetensors", write_nothing, "is empty"),
    ("a.pth", Path.mkdir, "is a folder; give the file in it"),
    ("a.pth", lambda file: None, "there is no file"),
    ("a.onnx", write_text, "should end in .safetensors, .pth"),
    ("a.pth", write_text, "is no PyTorch checkpoint, or is damaged"),
    ("a.safetensors", write_text, "is no safetensors file, or is damaged"),
    ("a.pt", write_list, "holds a list instead of named tensors"),
    ("a.pt", write_numbers, r"none hold named tensors; it holds epoch \(int\), lr \(float\)"),
    ("a.pt", write_mixed, "'name' is a str, not an ordinary tensor"),
    ("a.pt", write_complex, "complex numbers"),
    ("a.pt", write_sparse, "sparse_coo"),
    ("a.pt", write_meta, "on meta"),
]


@pytest.mark.parametrize(("name", "write", "message"), BAD)
def test_what_is_no_file_of_weights(
    tmp_path: Path, name: str, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / name)
    refused(tmp_path / name, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stranger.weight": torch.ones(1)}, r"1 unexpected \(backbone.stranger.weight\)"),
        ({"FIRST": torch.full((1,), torch.nan)}, "mismatched"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, state: dict[str, Tensor], change: dict[str, Tensor], message: str
) -> None:
    first = next(iter(state))
    changed = {name.replace("FIRST", first): value for name, value in change.items()}
    save_file({**state, **changed}, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", message)


def test_a_decoder_alone_fits_nothing(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({f"decoder.{k}": v for k, v in state.items()}, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "0 tensors fit")
    heads = {"encoder_q.queue": torch.ones(2), "encoder_k.a": torch.ones(2)}
    save_file(heads, tmp_path / "b.safetensors")
    refused(tmp_path / "b.safetensors", "0 tensors fit")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    name = next(name for name, value in state.items() if value.is_floating_point())
    torch.save({**state, name: torch.full_like(state[name], torch.nan)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", f"non-finite numbers in {name}")


def test_a_tensor_that_only_says_to_be_large_takes_no_memory(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    name = next(iter(state))
    torch.save({**state, name: torch.ones(1).expand(2**40)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", f"mismatched .*{name} {2**40} for")


def test_what_may_be_missing_is_allowed_by_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    last = list(state)[-1].rpartition(".")[0]
    save_file({k: v for k, v in state.items() if last not in k}, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "missing")
    config = CONFIG.model_copy(update={"allow_missing": (f"backbone.{last}.*",)})
    origin, report = import_file(tmp_path / "a.safetensors", None, config, tmp_path / "weights")
    assert set(origin.fresh) == set(report.allowed) != set()
    assert any("may be missing" in note for note in origin.notes)


def test_what_is_there_is_not_overwritten(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "a.safetensors")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.txt").write_text("mine")
    refused(tmp_path / "a.safetensors", "is not overwritten")
    assert (tmp_path / "weights" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.pth", "old.pth", "a.safetensors"])
@pytest.mark.parametrize("rounds", [40, pytest.param(1500, marks=pytest.mark.slow)])
def test_damaged_files_end_in_our_own_errors(
    tmp_path: Path, state: dict[str, Tensor], name: str, rounds: int
) -> None:
    draw = random.Random(name)
    file = tmp_path / name
    if name.endswith(".safetensors"):
        save_file(state, file)
    else:
        content = {"state_dict": state, "epoch": 2}
        torch.save(content, file, _use_new_zipfile_serialization=name == "a.pth")
    whole = file.read_bytes()
    for _ in range(rounds):
        changed = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        kept = draw.randrange(len(changed)) if draw.random() < 0.2 else len(changed)
        file.write_bytes(changed[:kept])
        try:
            # Flipped bits of a number are still numbers: no digest protects such files.
            read_foreign(file)
        except UserError:
            continue
    assert [path.name for path in tmp_path.iterdir() if path.name != "image-cache"] == [name]


def test_the_same_file_gives_the_same_folder(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "a.safetensors")
    for out in ("one", "two"):
        torch.rand(3)
        import_file(tmp_path / "a.safetensors", None, CONFIG, tmp_path / out)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
