"""What every export keeps to: licences, places, the card, all or nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ssl_registry.errors import RunError, WeightsError
from ssl_registry.weights import licences
from ssl_registry.weights.card import read_card
from ssl_registry.weights.export import export_weights
from ssl_registry.weights.targets import TARGETS, contract
from ssl_registry.weights.tensors import content_digest

DATA = {"organ": "o", "modality": "m", "citation": "c"}
CAMUS = {**DATA, "name": "camus", "licence": "CC BY-NC-SA 4.0"}
BUSI = {**DATA, "name": "busi", "licence": "CC BY 4.0"}


def test_the_card_travels(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    before = read_card(made.folder)
    written = export_weights(made.folder, "torchvision", tmp_path / "out", licence=" CC-BY-4.0 ")
    card = read_card(tmp_path / "out")
    assert card == written
    for name in ("run", "summary", "mean", "std", "channels", "backbone", "gray"):
        assert getattr(card, name) == getattr(before, name), name
    assert (card.licence, card.exported_from) == ("CC-BY-4.0", before.digest)
    file = tmp_path / "out/model.safetensors"
    assert card.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.digest == content_digest(load_file(file))
    readme = (tmp_path / "out/README.md").read_text()
    for words in ('license: "cc-by-4.0"', "licence CC BY 4.0", "torchvision", "Al-Dhabyani"):
        assert words in readme
    assert read_card(made.folder) == before


def test_the_licence_is_never_guessed(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    with pytest.raises(WeightsError, match=r"nobody has said.*--licence.*busi, CC BY 4\.0"):
        export_weights(made.folder, "timm", tmp_path / "out")
    for given in ("", " ", "a\nb", "x" * 201):
        with pytest.raises(WeightsError, match="is no name of a licence"):
            export_weights(made.folder, "timm", tmp_path / "out", licence=given)
    export_weights(made.folder, "timm", tmp_path / "out", licence="MIT")
    # From there on the card says it, and nobody further down can say otherwise.
    assert export_weights(tmp_path / "out", "timm", tmp_path / "again").licence == "MIT"
    with pytest.raises(WeightsError, match=r"are under MIT; exporting them under GPL-3\.0-only"):
        export_weights(tmp_path / "out", "timm", tmp_path / "third", licence="GPL-3.0-only")


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC BY-NC 4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("free for non-commercial use", True),
        ("Research use only", True),
        ("CC BY 4.0", False),
        ("NCSA", False),
        ("Apache-2.0", False),
    ],
)
def test_non_commercial_licences_are_known(licence: str, expected: bool) -> None:
    assert licences.non_commercial(licence) is expected


def test_data_of_the_pretraining_count_too(make: Any) -> None:
    record = {"gray": True, "data": [BUSI], "pretraining": {"data": [CAMUS]}}
    card = read_card(make("resnet18", record=record).folder)
    assert [item["name"] for item in licences.data_used(card)] == ["camus", "busi"]
    (warning,) = licences.warnings_about(card, "CC-BY-4.0")
    assert warning.startswith("camus (CC BY-NC-SA 4.0) may not be used commercially")
    assert licences.warnings_about(card, "CC-BY-NC-4.0") == []


def test_the_licence_of_the_first_weights_counts_too(make: Any, tmp_path: Path) -> None:
    earlier = {"licence": "CC-BY-NC-4.0", "pretraining": {"licence": None, "data": []}}
    made = make("resnet18", record={"gray": True, "data": [BUSI], "pretraining": earlier})
    card = read_card(made.folder)
    assert licences.licences_before(card) == ["CC-BY-NC-4.0"]
    (warning,) = licences.warnings_about(card, "MIT")
    assert warning.startswith("the weights it started from (CC-BY-NC-4.0) may not be used")
    export_weights(made.folder, "timm", tmp_path / "out", licence="CC-BY-NC-4.0")
    page = (tmp_path / "out/README.md").read_text()
    assert "- weights of others, licence CC-BY-NC-4.0" in page


@pytest.mark.parametrize("data", ["busi", ["busi"], [{"name": "busi"}], [{**BUSI, "licence": 3}]])
def test_a_damaged_list_of_data_is_told(make: Any, tmp_path: Path, data: Any) -> None:
    made = make("resnet18")
    file = made.folder / "ssl_registry.json"
    card = json.loads(file.read_text())
    card["run"]["data"] = data
    file.write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="list of data is damaged"):
        export_weights(made.folder, "timm", tmp_path / "out", licence="MIT")


def test_nothing_is_overwritten_unasked(make: Any, tmp_path: Path) -> None:
    made, out = make("resnet18"), tmp_path / "out"
    out.mkdir()
    export_weights(made.folder, "timm", out, licence="MIT")
    with pytest.raises(WeightsError, match="holds weights already; give --replace"):
        export_weights(made.folder, "torchvision", out, licence="MIT")
    assert read_card(out).library == "timm"
    export_weights(made.folder, "torchvision", out, licence="MIT", replace=True)
    assert read_card(out).library == "torchvision"
    for place in (made.folder, made.folder / "inside", tmp_path):
        with pytest.raises(WeightsError, match="lie in one another"):
            export_weights(made.folder, "timm", place, licence="MIT", replace=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").touch()
    with pytest.raises(WeightsError, match="is no folder of weights; choose another place"):
        export_weights(made.folder, "timm", tmp_path / "photos", licence="MIT", replace=True)
    assert (tmp_path / "photos/a.png").exists()


def test_other_outputs_are_not_exported(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_registry.weights.targets import torchvision

    made = make("resnet18")
    loaded = torchvision.load_file

    def wrong(path: Path) -> dict[str, torch.Tensor]:
        tensors = loaded(path)
        tensors["layer4.1.bn2.weight"] *= 1.1
        return tensors

    monkeypatch.setattr(torchvision, "load_file", wrong)
    with pytest.raises(WeightsError, match=r"output 0 of torchvision differs .* by up to"):
        export_weights(made.folder, "torchvision", tmp_path / "out", licence="MIT")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_outputs_are_compared_within_the_tolerance() -> None:
    ours = torch.tensor([10.0, -20.0])
    contract.check_same("it", [ours + 0.0019], [ours])
    for theirs in (ours + 0.0021, ours * float("nan"), ours[:1]):
        with pytest.raises(WeightsError, match="nothing was exported"):
            contract.check_same("it", [theirs], [ours])


def test_unknown_targets_and_places(make: Any, tmp_path: Path) -> None:
    made = make("resnet18")
    with pytest.raises(WeightsError, match="to 'keras'; to timm, torchvision, smp, onnx, torch-"):
        export_weights(made.folder, "keras", tmp_path / "out", licence="MIT")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write to"):
        export_weights(made.folder, "timm", tmp_path / "file/out", licence="MIT")


def test_the_options_are_those_of_the_runner() -> None:
    from ssl_registry.cli.weights_export import TARGETS as OFFERED
    from ssl_registry.cli.weights_export import export

    assert tuple(TARGETS) == OFFERED
    given = {parameter.name for parameter in export.params}
    assert {field.name for field in dataclasses.fields(contract.ExportOptions)} <= given
