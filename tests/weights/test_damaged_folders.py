"""Exchange folders that were damaged or made up: only our own errors, and nothing else touched."""

from __future__ import annotations

import json
import random
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ssl_registry.errors import UserError, WeightsError
from ssl_registry.weights import networks
from ssl_registry.weights.card import MAX_CARD_BYTES
from ssl_registry.weights.networks import load_network
from ssl_registry.weights.read import load_weights, read_weights
from ssl_registry.weights.readme import readme
from ssl_registry.weights.tensors import check_exportable, content_digest, file_digest

ROUNDS = 1900


@pytest.fixture
def folder(finetuned: Path, tmp_path: Path) -> Path:
    """A small segmentation network; the tests damage copies of its files."""
    target = tmp_path / "inner" / "weights"
    shutil.copytree(finetuned / "weights", target)
    return target


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def grown(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + draw.randbytes(draw.randrange(1, 64)) + content[place:]


def early_flip(content: bytes, draw: random.Random) -> bytes:
    """In the length and the header, where the reader looks first."""
    return flipped(content[:400], draw) + content[400:]


def huge_header(content: bytes, draw: random.Random) -> bytes:
    return struct.pack("<Q", draw.choice((2**63, 2**40, 10**8, len(content)))) + content[8:]


def made_header(content: bytes, draw: random.Random) -> bytes:
    """A header that names other places, shapes and types than there are."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = draw.choice([key for key in header if key != "__metadata__"])
    entry = header.pop(name)
    entry[draw.choice(("shape", "data_offsets", "dtype"))] = draw.choice(
        ([2**62, 2**62], [-1, 4], "F64", [0, 2**60], None, 7, "../../etc/passwd")
    )
    header[draw.choice((name, "../../../tmp/x", "/etc/passwd", "a" * 5000, ""))] = entry
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + content[8 + length :]


def other_value(content: bytes, draw: random.Random) -> bytes:
    """A card in which one value, at any depth, is of another kind or size."""
    table = json.loads(content)
    place: Any = table
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.choice(keys)
        if not isinstance(place[key], (dict, list)) or not place[key] or draw.random() < 0.2:
            break
        place = place[key]
    place[key] = draw.choice(
        (None, -1, 10**9, 1e308, "../../x", "/etc/passwd", [], {}, [[]] * 50, True, "a" * 10**5)
    )
    return json.dumps(table).encode()


def deep(content: bytes, draw: random.Random) -> bytes:
    nested = "[" * draw.choice((100, 10**4, 10**6))
    return content.rstrip()[:-1] + b', "deep": ' + nested.encode()


CASES: list[tuple[str, Callable[[bytes, random.Random], bytes]]] = [
    ("model.safetensors", flipped),
    ("model.safetensors", early_flip),
    ("model.safetensors", cut),
    ("model.safetensors", grown),
    ("model.safetensors", huge_header),
    ("model.safetensors", made_header),
    ("ssl_registry.json", flipped),
    ("ssl_registry.json", cut),
    ("ssl_registry.json", grown),
    ("ssl_registry.json", other_value),
    ("ssl_registry.json", deep),
]


@pytest.mark.parametrize(("name", "damage"), CASES)
@pytest.mark.parametrize("rounds", [30, pytest.param(ROUNDS, marks=pytest.mark.slow)])
def test_damage_ends_in_our_own_errors(
    folder: Path, name: str, damage: Callable[[bytes, random.Random], bytes], rounds: int
) -> None:
    draw = random.Random(f"{name} {damage.__name__} {rounds}")
    original = (folder / name).read_bytes()
    whole = content_digest(read_weights(folder).tensors)
    others = {path: path.read_bytes() for path in folder.iterdir() if path.name != name}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(rounds):
        (folder / name).write_bytes(damage(original, draw))
        try:
            network, _ = load_network(folder)
        except UserError:
            continue
        # Only what does not touch the weights may pass, such as another word in the record.
        assert name == "ssl_registry.json" or (folder / name).read_bytes() == original
        assert content_digest(read_weights(folder).tensors) == whole
        assert sum(p.numel() for p in network.parameters()) < 10**5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024
    assert {path: path.read_bytes() for path in others} == others
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert [path.name for path in folder.parent.parent.iterdir()] == ["inner"]


def test_a_card_of_a_network_without_end_takes_no_memory(folder: Path) -> None:
    card = json.loads((folder / "ssl_registry.json").read_text())
    for widths in ([10**6, 10**6, 10**6], [4] * 1000):
        card["backbone"]["widths"] = widths
        (folder / "ssl_registry.json").write_text(json.dumps(card))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UserError):
            load_network(folder)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_size", 10**9, "image_size: must be at most 2048"),
        ("image_size", 0, "image_size: must be at least 1"),
        ("mean", [], "mean and std need one value per channel"),
        ("mean", [0.4, 0.5, 0.6], "mean and std need one value per channel"),
        ("std", [0.0], "std must be positive"),
        ("threshold", -3, "threshold: must be at least 0"),
    ],
)
def test_a_card_that_no_run_writes_is_told(
    folder: Path, field: str, value: Any, message: str
) -> None:
    card = json.loads((folder / "ssl_registry.json").read_text())
    (folder / "ssl_registry.json").write_text(json.dumps({**card, field: value}))
    with pytest.raises(WeightsError, match=f"is damaged: {message}"):
        read_weights(folder)


def test_tensors_of_no_part_are_not_passed_over(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({**load_file(file), "projector.weight": torch.ones(2)}, file)
    card = json.loads((folder / "ssl_registry.json").read_text())
    card["sha256"] = file_digest(file)
    (folder / "ssl_registry.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=r"holds 1 tensors .* such as 'projector\.weight'"):
        load_network(folder)


def test_a_card_without_names_is_told(folder: Path) -> None:
    network, card = load_network(folder)
    nameless = card.model_dump(mode="json")
    nameless["backbone"].pop("name")
    (folder / "ssl_registry.json").write_text(json.dumps(nameless))
    other = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3))
    network.backbone.exported = lambda: other  # type: ignore[method-assign]
    with pytest.raises(WeightsError, match="backbone unnamed"):
        load_weights(network, folder, "encoder")
    page = readme(card.model_copy(update={"run": {"origin": {"file": "a.pth", "notes": 3}}}))
    assert "Brought in by ssl_registry from `a.pth`" in page and "Notes" not in page


def test_a_network_that_looks_at_numbers_is_built_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = networks.build_backbone

    def looking(config: Any, channels: int) -> Any:
        assert torch.linspace(0, 1, 3)[1].item() == 0.5  # there are none on the device "meta"
        return build(config, channels)

    monkeypatch.setattr(networks, "build_backbone", looking)
    network, _ = load_network(folder)
    assert all(value.device.type == "cpu" for value in network.state_dict().values())


def test_a_card_of_layers_without_end_is_given_up_early(folder: Path) -> None:
    card = json.loads((folder / "ssl_registry.json").read_text())
    card["backbone"] = {
        "name": "timm",
        "model": "vit_tiny_patch16_224",
        "options": {"depth": 10**6, "img_size": 32},
    }
    (folder / "ssl_registry.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="parameters, the file far fewer"):
        load_network(folder)


def test_a_card_without_end_is_not_read(folder: Path) -> None:
    with (folder / "ssl_registry.json").open("ab") as file:
        file.write(b" " * MAX_CARD_BYTES)
    with pytest.raises(WeightsError, match="far more than any card"):
        read_weights(folder)


def test_tensors_that_cannot_travel_are_refused() -> None:
    weight = torch.ones(3)
    with pytest.raises(WeightsError, match="a and b share their memory"):
        check_exportable({"a": weight, "b": weight})
    with pytest.raises(WeightsError, match="a and b share their memory"):
        check_exportable({"a": weight[:1], "b": weight[1:]})
    with pytest.raises(WeightsError, match="'__metadata__' is no name"):
        check_exportable({"__metadata__": weight})
    with pytest.raises(WeightsError, match="no tensors"):
        check_exportable({})
    check_exportable({"a": weight, "b": weight.clone(), "empty": torch.ones(0)})


def test_the_content_digest_is_of_names_types_shapes_and_bytes_alone(folder: Path) -> None:
    tensors = dict(read_weights(folder).tensors)
    name = "head.weight"
    same = content_digest(tensors)
    assert same == content_digest(dict(reversed(tensors.items())))
    assert same == json.loads((folder / "ssl_registry.json").read_text())["digest"]
    assert same != file_digest(folder / "model.safetensors")
    value = tensors[name]
    bits = value.view(torch.int32).clone()
    bits.view(-1)[0] ^= 1
    for other in (value.reshape(-1), value.view(torch.int32), bits.view(torch.float32)):
        assert content_digest({**tensors, name: other}) != same
    renamed = {("other" if key == name else key): value for key, value in tensors.items()}
    assert content_digest(renamed) != same
