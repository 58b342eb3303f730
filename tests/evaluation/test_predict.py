from __future__ import annotations

import csv
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
        "areas.csv",
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
    (batch,) = used
    for place, probabilities, mask_file in zip(places, batch, masks, strict=True):
        # Batches of other sizes may take other kernels.
        np.testing.assert_allclose(probabilities, evaluated[place], atol=1e-6)
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


@pytest.mark.parametrize(("threshold", "value"), [(0.0, 255), (1.0, 0)])
def test_the_threshold_of_the_card_decides(
    threshold: float, value: int, finetuned: Path, tiny_busi: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "weights"
    shutil.copytree(finetuned / "weights", copy)
    card = json.loads((copy / "ssl_registry.json").read_text())
    (copy / "ssl_registry.json").write_text(json.dumps({**card, "threshold": threshold}))
    (mask,) = predict(copy, [tiny_busi / "benign" / "benign (1).png"], tmp_path / "out")
    assert (np.asarray(PillowImage.open(mask)) == value).all()


def test_unreadable_images_are_named(finetuned: Path, tmp_path: Path) -> None:
    good = picture(tmp_path / "good.png", "L", (40, 40))
    text, half = tmp_path / "text.png", tmp_path / "half.png"
    text.write_text("no picture")
    half.write_bytes(good.read_bytes()[:500])
    bad = [text, half, tmp_path / "missing.png"]
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"3 of 4 images cannot be read; the masks of the other 1"):
        predict(finetuned / "weights", [bad[0], good, *bad[1:]], out)
    assert sorted(path.name for path in out.iterdir()) == [
        "areas.csv",
        "good.png",
        "good_overlay.png",
    ]
    for file in bad:
        with pytest.raises(DataError, match=f"cannot read the image {file}"):
            predict(finetuned / "weights", [file], tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())


def test_a_folder_stands_for_its_pictures(
    finetuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "BATCH", 2)
    folder = tmp_path / "scans"
    (folder / "inner").mkdir(parents=True)
    (folder / "notes.txt").write_text("no picture")
    for name in ("c.png", "a.JPG", "b.bmp"):
        picture(folder / name, "L", (40, 30))
    masks = predict(finetuned / "weights", [folder], tmp_path / "out")
    assert [mask.name for mask in masks] == ["a.png", "b.png", "c.png"]
    with pytest.raises(DataError, match="inner holds no pictures"):
        predict(finetuned / "weights", [folder / "inner"], tmp_path / "out")


def test_areas_are_those_of_the_masks(finetuned: Path, tiny_busi: Path, tmp_path: Path) -> None:
    files = sorted((tiny_busi / "benign").glob("*).png"))[:5]
    masks = predict(finetuned / "weights", files, tmp_path / "out")
    with (tmp_path / "out" / "areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(file) for file in files]
    for row, file in zip(rows, masks, strict=True):
        mask = np.asarray(PillowImage.open(file))
        assert (int(row["height"]), int(row["width"])) == mask.shape
        assert int(row["lesion_pixels"]) == (mask == 255).sum()
        assert float(row["lesion_share"]) == pytest.approx((mask == 255).mean(), abs=1e-6)
    assert any(int(row["lesion_pixels"]) for row in rows)


def test_hidden_files_of_a_folder_are_no_pictures(finetuned: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    picture(tmp_path / "scans" / "a.png", "L", (40, 30))
    (tmp_path / "scans" / "._a.png").write_bytes(b"of another system")
    masks = predict(finetuned / "weights", [tmp_path / "scans"], tmp_path / "out")
    assert [mask.name for mask in masks] == ["a.png"]


def test_batches_of_large_images_are_small(
    finetuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = json.loads((finetuned / "weights/ssl_registry.json").read_text())["image_size"]
    sizes: list[int] = []
    original = Predictor.probabilities

    def noted(self: Predictor, images: np.ndarray) -> np.ndarray:
        sizes.append(len(images))
        return original(self, images)

    monkeypatch.setattr(Predictor, "probabilities", noted)
    files = [picture(tmp_path / f"{name}.png", "L", (40, 30)) for name in "abcde"]
    for pixels, expected in ((2 * size**2, [2, 2, 1]), (size**2 - 1, [1] * 5)):
        sizes.clear()
        monkeypatch.setattr("ssl_registry.evaluation.portions._PIXELS", pixels)
        assert len(predict(finetuned / "weights", files, tmp_path / f"{pixels}")) == len(files)
        assert sizes == expected


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


def test_nothing_else_is_replaced_unasked(finetuned: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "scan.png", "L", (40, 40))
    out = tmp_path / "masks"
    out.mkdir()
    for name in ("scan.png", "areas.csv"):
        (out / name).write_text("drawn by hand")
        with pytest.raises(DataError, match=rf"{name} would be replaced; .*overwrite"):
            predict(finetuned / "weights", [image], out)
        assert [file.name for file in out.iterdir()] == [name]
        assert (out / name).read_text() == "drawn by hand"
        (out / name).unlink()
    masks = predict(finetuned / "weights", [image], out)
    with pytest.raises(DataError, match=r"areas.csv and 2 more would be replaced"):
        predict(finetuned / "weights", [image], out)
    assert predict(finetuned / "weights", [image], out, overwrite=True) == masks


def test_one_image_needs_no_list(
    finetuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(tmp_path / "scan.png", "L", (40, 40))
    (mask,) = predict(finetuned / "weights", image, tmp_path / "a")
    monkeypatch.setenv("HOME", str(tmp_path))
    (again,) = predict(finetuned / "weights", "~/scan.png", "~/b")
    assert (mask, again) == (tmp_path / "a" / "scan.png", tmp_path / "b" / "scan.png")
    assert mask.read_bytes() == again.read_bytes()


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
    (copy / "ssl_registry.json").write_text(json.dumps({**card, "image_size": 1}))
    with pytest.raises(WeightsError, match="image_size = 1 is below what its network takes"):
        predict(copy, [image], tmp_path / "out")
    assert not (tmp_path / "out").exists()
