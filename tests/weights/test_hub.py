"""The Hugging Face Hub: its real cache and errors; only calls that use the network are made up."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from click.testing import CliRunner, Result
from huggingface_hub import constants, errors

from ssl_registry.cli.runner import runner
from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.load import validate
from ssl_registry.errors import WeightsError
from ssl_registry.weights import hub
from ssl_registry.weights.fit import fit
from ssl_registry.weights.importing import Origin, fresh_backbone, write_imported
from ssl_registry.weights.networks import load_backbone
from ssl_registry.weights.tensors import file_digest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "somebody/small-encoder"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = {"backbone": {"name": "unet_encoder", "widths": [4, 8]}, "licence": "CC-BY-4.0"}
    config = validate(ImportConfig, table, "test")
    backbone = fresh_backbone(config)
    state = backbone.exported().state_dict()
    folder = tmp_path_factory.mktemp("hub") / "weights"
    origin = Origin(file="a.pth", sha256="", layout="timm (plain names)")
    write_imported(folder, backbone, fit(state, state, "backbone"), config, origin)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A folder of weights with a file that is nobody's business."""
    shutil.copytree(made, tmp_path / "weights")
    (tmp_path / "weights" / "optimizer.pt").write_bytes(b"private")
    return tmp_path / "weights"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's local cache, empty, and no network."""
    place = tmp_path / "hub-cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return place


def put_in_cache(cache: Path, folder: Path, revision: str = "main") -> Path:
    """What a download leaves behind."""
    home = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = home / "snapshots" / COMMIT
    shutil.copytree(folder, snapshot)
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / revision).write_text(COMMIT)
    return snapshot


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(runner, ["weights", *arguments])


def test_a_folder_comes_back_from_the_cache_without_a_connection(
    folder: Path, cache: Path, tmp_path: Path
) -> None:
    put_in_cache(cache, folder)
    result = invoke("pull", REPOSITORY, "--out", str(tmp_path / "pulled"))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'pulled'}\n"
    assert "licence: CC-BY-4.0" in result.stderr
    names = {path.name for path in (tmp_path / "pulled").iterdir()}
    assert names == {"model.safetensors", "ssl_registry.json", "README.md"}
    assert not any(path.is_symlink() for path in (tmp_path / "pulled").iterdir())
    mine, _ = load_backbone(folder)
    pulled, _ = load_backbone(tmp_path / "pulled")
    images = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert all(map(torch.equal, mine(images), pulled(images)))


def test_a_revision_is_looked_up(folder: Path, cache: Path, tmp_path: Path) -> None:
    put_in_cache(cache, folder, "v2")
    assert invoke("pull", REPOSITORY, "--out", str(tmp_path / "a")).exit_code == 2
    done = invoke("pull", REPOSITORY, "--out", str(tmp_path / "a"), "--revision", "v2")
    assert done.exit_code == 0, done.output


def flip_data(snapshot: Path) -> None:
    file = snapshot / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def other_card(snapshot: Path) -> None:
    flip_data(snapshot)
    card = json.loads((snapshot / "ssl_registry.json").read_text())
    card["sha256"] = file_digest(snapshot / "model.safetensors")
    (snapshot / "ssl_registry.json").write_text(json.dumps(card))


def no_card(snapshot: Path) -> None:
    (snapshot / "ssl_registry.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_data, "model.safetensors was damaged or exchanged"),
        (other_card, "the tensors are others than the card's"),
        (no_card, "holds no ssl_registry.json"),
    ],
)
def test_what_is_damaged_does_not_appear(
    folder: Path, cache: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(put_in_cache(cache, folder))
    result = invoke("pull", REPOSITORY, "--out", str(tmp_path / "pulled"))
    assert result.exit_code == 2
    assert message in result.stderr and "nothing was written" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"weights", "hub-cache"} | (
        {"image-cache"} & {path.name for path in tmp_path.iterdir()}
    )


@pytest.mark.parametrize("command", ["pull", "push"])
def test_offline_it_is_said_what_to_do(
    command: str, folder: Path, cache: Path, tmp_path: Path
) -> None:
    pull = ["pull", REPOSITORY, "--out", str(tmp_path / "pulled")]
    result = invoke(*(pull if command == "pull" else ["push", str(folder), REPOSITORY]))
    assert result.exit_code == 2, result.output
    assert "the Hub cannot be reached" in result.stderr and "HF_HUB_OFFLINE" in result.stderr
    assert not (tmp_path / "pulled").exists()


def test_no_name_of_a_repository(cache: Path, tmp_path: Path) -> None:
    result = invoke("pull", "a/b/c", "--out", str(tmp_path / "pulled"))
    assert result.exit_code == 2 and "a/b/c" in result.stderr


def test_a_folder_with_content_is_not_overwritten(
    folder: Path, cache: Path, tmp_path: Path
) -> None:
    put_in_cache(cache, folder)
    result = invoke("pull", REPOSITORY, "--out", str(folder))
    assert result.exit_code == 2 and "is not overwritten" in result.stderr
    assert (folder / "optimizer.pt").exists()


class Uploads:
    """What would go over the network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, bool]] = []
        self.files: dict[str, bytes] = {}
        self.revision: str | None = None
        monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", self.create)
        monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", self.commit)

    def create(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.made.append((repo_id, private))

    def commit(self, repo_id: str, operations: Any, **settings: Any) -> Any:
        self.revision = settings["revision"]
        for operation in operations:
            with operation.as_file() as stream:
                self.files[operation.path_in_repo] = stream.read()
        address = f"https://huggingface.co/{repo_id}/commit/{COMMIT}"
        return huggingface_hub.CommitInfo(
            commit_url=address, commit_message="", commit_description="", oid=COMMIT
        )


def test_only_the_files_of_the_layout_are_uploaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(monkeypatch)
    result = invoke("push", str(folder), REPOSITORY, "--private", "--revision", "try")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"https://huggingface.co/{REPOSITORY}/commit/{COMMIT}"
    assert (uploads.made, uploads.revision) == ([(REPOSITORY, True)], "try")
    expected = {"model.safetensors", "ssl_registry.json", "README.md"}
    assert uploads.files == {name: (folder / name).read_bytes() for name in expected}


def test_the_page_is_what_the_hub_reads(folder: Path) -> None:
    data = huggingface_hub.ModelCard.load(folder / "README.md").data
    assert (data.license, data.library_name) == ("cc-by-4.0", "ssl_registry")
    assert data.pipeline_tag == "image-feature-extraction"
    assert data.tags == ["ssl_registry"]


@pytest.mark.parametrize(("licence", "message"), [(None, "states no licence"), ("X", "")])
def test_what_is_damaged_or_unlicensed_is_not_uploaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, licence: str | None, message: str
) -> None:
    uploads = Uploads(monkeypatch)
    card = json.loads((folder / "ssl_registry.json").read_text())
    (folder / "ssl_registry.json").write_text(json.dumps({**card, "licence": licence}))
    if licence:
        flip_data(folder)
        message = "was damaged or exchanged"
    with pytest.raises(WeightsError, match=message):
        hub.push(folder, REPOSITORY)
    assert (uploads.made, uploads.files) == ([], {})


def test_without_the_package_the_extra_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (
        lambda: hub.push(folder, REPOSITORY),
        lambda: hub.pull(REPOSITORY, tmp_path / "pulled"),
    ):
        with pytest.raises(WeightsError, match=r"pip install 'ssl-registry\[hub\]'"):
            call()


def test_refusals_of_the_hub_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise errors.LocalTokenNotFoundError("Token is required")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(WeightsError, match=f"cannot push to {REPOSITORY}: Token is required"):
        hub.push(folder, REPOSITORY)
