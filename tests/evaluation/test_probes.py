"""Probes of a trunk: what they find where features tell all or nothing, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_registry import Backbone, Trunk
from ssl_registry.config.load import validate
from ssl_registry.config.probes import ProbesConfig
from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DataError
from ssl_registry.evaluation.embeddings import Reader
from ssl_registry.evaluation.knn import knn_predict
from ssl_registry.evaluation.probes import Probe, ProbeInput, load_probe
from ssl_registry.evaluation.segmentation_probe import LinearMasks, mask_loss
from ssl_registry.nn.normalization import Normalize
from ssl_registry.training.device import choose_execution
from ssl_registry_busi.dataset import BusiDataset

SIZE = 32


class Pixels(Backbone):
    """Two levels: the image itself, and the image at a quarter; counts its forwards."""

    in_channels, channels, reductions = 1, (1, 1), (1, 4)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images, nn.functional.avg_pool2d(self.norm(images), 4)]


class Brightness(Backbone):
    """Constant maps of the mean and of 1, so that the cosine tells the brightness."""

    in_channels, channels, reductions = 1, (2,), (32,)

    def forward(self, images: Tensor) -> list[Tensor]:
        mean = images.mean((2, 3), keepdim=True)
        return [torch.cat([mean, torch.ones_like(mean)], dim=1)]


def given(size: int = SIZE) -> ProbeInput:
    execution = choose_execution(TrainingConfig(device="cpu"))
    return ProbeInput(size, 1, True, Reader(Normalize((0.5,), (0.25,)), execution), seed=0)


def probe(root: Path, kind: str, split: str = "stratified", **settings: Any) -> Probe:
    data = {"name": "busi", "root": str(root), "split": {"kind": split}}
    table = {"kind": kind, "data": data, **settings}
    (config,) = validate(ProbesConfig, {"probes": [table]}, "test").probes
    return load_probe(config, given())


def test_knn_equals_one_made_by_hand(tiny_busi: Path) -> None:
    ready = probe(tiny_busi, "knn", k=3, part="test")
    trunk = Trunk(Brightness())
    scores = ready.measure(trunk)
    data = ready.data
    labels = sorted({sample.label for sample in data.samples if sample.label})
    sides = []
    for part in ("train", "test"):
        places = data.places([part])  # type: ignore[list-item]
        pixels = torch.from_numpy(np.array(data.cache.images[places])).double() / 255
        mean = ((pixels - 0.5) / 0.25).mean((1, 2, 3))
        truth = torch.tensor([labels.index(data.samples[p].label or "") for p in places])
        sides.append((torch.stack([mean, torch.ones_like(mean)], dim=1), truth))
    (bank, bank_labels), (embeddings, truth) = sides
    right = knn_predict(embeddings, bank, bank_labels, 3, 3, 0.1) == truth
    assert scores["accuracy"].score == pytest.approx(float(right.double().mean()))
    recalls = [float(right[truth == c].double().mean()) for c in range(3) if (truth == c).any()]
    assert scores["balanced_accuracy"].score == pytest.approx(sum(recalls) / len(recalls))
    counts = torch.bincount(truth)
    assert ready.chance["balanced_accuracy"] == pytest.approx(1 / int((counts > 0).sum()))
    assert ready.chance["accuracy"] == pytest.approx(float(counts.max() / len(truth)))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("knn", {"k": 5}), ("linear", {"folds": 2}), ("segmentation", {"steps": 2})],
)
def test_a_trunk_is_as_before_and_a_probe_says_the_same_again(
    kind: str, settings: dict[str, Any], tiny_busi: Path
) -> None:
    ready, trunk = probe(tiny_busi, kind, **settings), Trunk(Pixels()).train()
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    generator = torch.get_rng_state()
    first, second = ready.measure(trunk), ready.measure(trunk)
    assert {k: v.values.tolist() for k, v in first.items()} == {
        k: v.values.tolist() for k, v in second.items()
    }
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(part.training for part in trunk.modules())
    assert all(torch.equal(before[k], tensor) for k, tensor in trunk.state_dict().items())
    assert all(parameter.grad is None for parameter in trunk.parameters())


def test_pixels_find_dark_lesions_and_a_constant_finds_none(tiny_busi: Path) -> None:
    """The pictures' lesions are darker than their background by more than the noise."""
    ready = probe(tiny_busi, "segmentation", steps=150, learning_rate=0.1)
    found = ready.measure(Trunk(Pixels()))["dice/lesion"]
    nothing = ready.measure(Trunk(Brightness()))["dice/lesion"]
    assert found.score > 0.8 > 0.5 > nothing.score
    with_lesion = [p for p in ready.data.places(["val"]) if ready.data.cache.masks[p].any()]  # type: ignore[index]
    assert len(found.values) == len(with_lesion) == ready.facts["images"]


def test_a_lesion_is_told_by_linear_features_of_brightness(tiny_busi: Path) -> None:
    """Normal pictures have no dark part, so their mean alone tells them."""
    ready = probe(tiny_busi, "linear", folds=2, part="test")
    scores = ready.measure(Trunk(Brightness()))
    assert scores["balanced_accuracy"].score > ready.chance["balanced_accuracy"]


def test_levels_are_standardised_enlarged_and_added() -> None:
    levels = [torch.randn(2, 3, 8, 8), torch.randn(2, 4, 2, 2)]
    statistics = [(torch.randn(3), torch.rand(3) + 1), (torch.randn(4), torch.rand(4) + 1)]
    head = LinearMasks(statistics, 2, 16)
    assert not head(levels).detach().any()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    # Enlarging and a 1x1 convolution commute: the slow way enlarges the features first.
    slow = torch.zeros(2, 2, 16, 16)
    for level, (mean, deviation), layer in zip(levels, statistics, head.maps, strict=True):
        large = nn.functional.interpolate(
            (level - mean[:, None, None]) / deviation[:, None, None], (16, 16), mode="bilinear"
        )
        slow += layer(large)
    torch.testing.assert_close(head(levels), slow, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_mask_loss_is_small_for_the_truth_and_large_for_its_contrary(outputs: int) -> None:
    classes = max(1, outputs - 1)
    masks = torch.randint(classes + 1, (2, 6, 6), dtype=torch.uint8)
    if outputs == 1:
        logits = 40 * (masks[:, None].float() - 0.5)
    else:
        logits = 40 * nn.functional.one_hot(masks.long(), outputs).movedim(-1, 1).float()
    assert float(mask_loss(logits, masks, classes)) < 1e-3
    assert float(mask_loss(-logits, masks, classes)) > 5


def test_overlapping_planes_have_a_loss_and_a_dice() -> None:
    planes = torch.randint(2, (2, 3, 6, 6), dtype=torch.uint8)
    assert float(mask_loss(40 * (planes.float() - 0.5), planes, 3)) < 1e-3


def phantom_probe(kind: str, **data: Any) -> None:
    table = {"kind": kind, "data": {"name": "phantom", "images_per_organ": 30, **data}}
    (config,) = validate(ProbesConfig, {"probes": [table]}, "test").probes
    load_probe(config, given())


def test_data_that_cannot_be_probed_on_are_refused(tmp_path: Path, tiny_busi: Path) -> None:
    with pytest.raises(DataError, match="no image of the part train has a mask with a lesion"):
        phantom_probe("segmentation", organs=["heart"])
    for label in ("benign", "other"):
        (tmp_path / "busi" / label).mkdir(parents=True)
    only = tmp_path / "busi"
    for file in (tiny_busi / "benign").iterdir():
        (only / "benign" / file.name).write_bytes(file.read_bytes())
    (only / "other").rmdir()
    with pytest.raises(DataError, match=r"'busi-knn' on dataset 'busi'.*two classes"):
        probe(only, "knn", k=3)


def test_images_without_labels_are_left_out_or_refused(
    tiny_busi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = BusiDataset.samples
    for hidden, message in (({"normal"}, ""), ({"benign", "malignant", "normal"}, "has a label")):

        def unlabelled(self: BusiDataset, hidden: set[str] = hidden) -> list[Any]:
            samples = listed(self)
            return [replace(s, label=None) if s.label in hidden else s for s in samples]

        monkeypatch.setattr(BusiDataset, "samples", unlabelled)
        if message:
            with pytest.raises(DataError, match=f"no image of the part train {message}"):
                probe(tiny_busi, "knn", "random", k=3)
        else:
            assert probe(tiny_busi, "knn", "random", k=3).facts["classes"] == [
                "benign",
                "malignant",
            ]
