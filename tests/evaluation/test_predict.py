from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from ssl_registry import predict
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.errors import DataError, RunError, WeightsError
from ssl_registry.evaluation import predict as predict_module
from ssl_registry.evaluation.predictor import Predictor
from ssl_registry.evaluation.segment import predicted_mask, resize_probabilities
from ssl_registry.training import testing


def picture(path: Path, mode: str, size: tuple[int, int]) -> Path:
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 255, (size[1], size[0], 3), np.uint8)
    PillowImage.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("png", "L"), ("png", "RGB"), ("png", "RGBA"), ("png", "P"), ("jpg", "L"), ("jpg", "RGB")],
)
def test_masks_have_the_size_of_their_image(
    finetuned: Path, tmp_path: Path, suffix: str, mode: str
) -> None:
    image = picture(tmp_path / f"scan.{suffix}", mode, (61, 47))
    (mask_file,) = predict(finetuned / "weights", [image], tmp_path / "out")
    assert mask_file == tmp_path / "out" / "scan.png"
    with PillowImage.open(mask_file) as mask:
        assert (mask.mode, mask.size) == ("L", (61, 47))
        assert set(np.unique(np.asarray(mask))) <= {0, 255}
    with PillowImage.open(tmp_path / "out" / "scan_overlay.png") as overlay:
        assert (overlay.mode, overlay.size) == ("RGB", (61, 47))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "scan.png",
        "scan_overlay.png",
    ]


def test_probabilities_equal_those_of_the_evaluation(
    finetuned: Path, tiny_busi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = json.loads((finetuned / "config.json").read_text())["config"]
    data = testing.load_labelled(validate(FinetuneConfig, table, "test"))
    places = [3, 20, 33]
    evaluated = testing.probabilities_of(finetuned, data, places)

    used = []
    original = Predictor.probabilities

    def noted(self: Predictor, images: np.ndarray) -> np.ndarray:
        used.append(original(self, images))
        return used[-1]

    monkeypatch.setattr(Predictor, "probabilities", noted)
    files = [data.samples[place].files[0] for place in places]
    masks = predict(finetuned / "weights", files, tmp_path / "out", device="cpu")
    for place, probabilities, mask_file in zip(places, used, masks, strict=True):
        # Batches of other sizes may take other kernels.
        np.testing.assert_allclose(probabilities[0], evaluated[place], atol=1e-6)
        mask = np.asarray(PillowImage.open(mask_file))
        native = resize_probabilities(evaluated[place], mask.shape)
        assert (mask == 255 * predicted_mask(native, 0.5, exclusive=True)).mean() > 0.999


def test_masks_of_several_overlapping_classes_hold_class_numbers(
    tmp_path: Path, finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, card = predict_module.load_network(finetuned / "weights")
    overlapping = card.model_copy(update={"classes": ("a", "b"), "exclusive": False})
    loaded.head = torch.nn.Conv2d(loaded.head.in_channels, 2, 1)
    with torch.no_grad():
        loaded.head.weight.zero_()
        loaded.head.bias.copy_(torch.tensor([4.0, -4.0]))
    monkeypatch.setattr(predict_module, "load_network", lambda folder: (loaded, overlapping))
    image = picture(tmp_path / "scan.png", "L", (3, 20))
    (mask_file,) = predict("unused", [image], tmp_path / "out")
    assert (np.asarray(PillowImage.open(mask_file)) == 1).all()


def test_unreadable_images_are_named(finetuned: Path, tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png", "L", (40, 40))
    text, half = tmp_path / "text.png", tmp_path / "half.png"
    text.write_text("no picture")
    half.write_bytes(good.read_bytes()[:500])
    for bad in (text, half, tmp_path / "missing.png", tmp_path):
        out = tmp_path / f"out-{bad.stem}"
        with pytest.raises(DataError, match=f"cannot read the image {bad}"):
            predict(finetuned / "weights", [good, bad], out)
        assert sorted(path.name for path in out.iterdir()) == ["good.png", "good_overlay.png"]


@pytest.mark.parametrize("gray", [True, False])
def test_sixteen_bits_are_seen_as_their_upper_eight(
    gray: bool, tmp_path: Path, finetuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, card = predict_module.load_network(finetuned / "weights")
    card = card.model_copy(update={"gray": gray, "channels": 1})
    monkeypatch.setattr(predict_module, "load_network", lambda folder: (loaded, card))
    seen = []
    monkeypatch.setattr(
        predict_module, "shrink_image", lambda image, *rest: seen.append(image) or small
    )
    small = np.zeros((1, card.image_size, card.image_size), np.uint8)
    deep = np.random.default_rng(2).integers(0, 2**16, (20, 30), np.uint16)
    PillowImage.fromarray(deep).save(tmp_path / "deep.png")
    predict("unused", [tmp_path / "deep.png"], tmp_path / "out", device="cpu")
    expected = (deep >> 8).astype(np.uint8)
    np.testing.assert_array_equal(seen[0], expected if gray else np.dstack([expected] * 3))


def test_images_whose_results_would_collide_are_refused(finetuned: Path, tmp_path: Path) -> None:
    for first, second in (("a/scan.png", "b/scan.jpg"), ("a/x.png", "b/x_overlay.png")):
        files = [tmp_path / first, tmp_path / second]
        for file in files:
            file.parent.mkdir(exist_ok=True)
            picture(file, "L", (40, 40))
        with pytest.raises(DataError, match="several of the images would be written to"):
            predict(finetuned / "weights", files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_is_never_replaced_by_its_mask(finetuned: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "scan.png", "L", (40, 40))
    before = image.read_bytes()
    with pytest.raises(DataError, match="would be replaced"):
        predict(finetuned / "weights", [image], tmp_path)
    assert image.read_bytes() == before


def test_other_mistakes(finetuned: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "scan.png", "L", (40, 40))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        predict(finetuned / "weights", [image], tmp_path / "file" / "out")
    with pytest.raises(WeightsError, match="subfolder weights"):
        predict(finetuned, [image], tmp_path / "out")
    copy = tmp_path / "weights"
    shutil.copytree(finetuned / "weights", copy)
    card = json.loads((copy / "ssl_registry.json").read_text())
    (copy / "ssl_registry.json").write_text(json.dumps({**card, "content": "encoder_decoder"}))
    with pytest.raises(WeightsError, match="fine-tune it first"):
        predict(copy, [image], tmp_path / "out")
    assert not (tmp_path / "out").exists()
