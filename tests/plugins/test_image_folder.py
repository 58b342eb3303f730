from __future__ import annotations

import os
import random
import subprocess
import sys
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw
from pydantic import ValidationError

from ssl_registry import DataError, DatasetNotFoundError, Sample
from ssl_registry.data.load import load_data
from ssl_registry.data.splits import make_split
from ssl_registry.data.verify import verify
from ssl_registry.registry import config_model, factory
from ssl_registry_image_folder import listing
from ssl_registry_image_folder.config import ImageFolderConfig
from ssl_registry_image_folder.dataset import ImageFolderDataset
from ssl_registry_image_folder.patterns import MaskPattern, NamePattern, image_pattern

HEIGHT, WIDTH = 10, 14


def dataset(root: Path, **settings: Any) -> ImageFolderDataset:
    return ImageFolderDataset(ImageFolderConfig(root=root, **settings))


def fill(root: Path, *paths: str) -> Path:
    """Empty files: listing opens none."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def save(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PillowImage.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def colours(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def box(top: int, left: int, value: int = 255) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : top + 3, left : left + 4] = value
    return mask


def ids(samples: Any) -> list[str]:
    return [sample.id for sample in samples]


def masks(root: Path, **settings: Any) -> dict[str, list[str]]:
    """Each image's masks, as listed."""
    return {
        str(s.files[0].relative_to(root)): [str(file.relative_to(root)) for file in s.files[1:]]
        for s in dataset(root, **settings).samples()
    }


# What the defaults make of usual folders


def test_a_flat_folder_of_pictures(tmp_path: Path) -> None:
    data = dataset(fill(tmp_path, "b.jpg", "a.JPG", "c 1.jpeg", "notes.txt", "table.csv"))
    samples = data.samples()
    assert ids(samples) == ["a", "b", "c 1"]
    assert not any(s.label or s.group or s.split or s.has_mask for s in samples)
    assert data.info.classes == ()


def test_folders_of_classes(tmp_path: Path) -> None:
    samples = dataset(fill(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")).samples()
    assert [(s.id, s.label) for s in samples] == [
        ("cat/1", "cat"),
        ("cat/2", "cat"),
        ("dog/1", "dog"),
    ]


def test_images_beside_masks_with_equal_names(tmp_path: Path) -> None:
    fill(tmp_path, "images/1.jpg", "images/2.jpg", "masks/1.png")
    data = dataset(tmp_path)
    samples = data.samples()
    assert [(s.id, s.has_mask, s.label) for s in samples] == [
        ("images/1", True, None),
        ("images/2", False, None),
    ]
    assert data.info.classes == ("foreground",)


@pytest.mark.parametrize("mask", ["{}", "{}_mask", "{}_mask_1", "{}-seg", "mask_{}", "{}_gt"])
@pytest.mark.parametrize("folders", [("Images", "Masks"), ("img", "gt"), ("image", "labels")])
def test_images_beside_masks_with_usual_names(
    tmp_path: Path, mask: str, folders: tuple[str, str]
) -> None:
    images, there = folders
    name = f"train/{there}/benign/{mask.format('x 1')}.PNG"
    fill(tmp_path, f"train/{images}/benign/x 1.png", name, f"test/{images}/y.png")
    samples = dataset(tmp_path).samples()
    assert [(s.id, s.split, s.label, s.has_mask) for s in samples] == [
        (f"test/{images}/y", "test", None, False),
        (f"train/{images}/benign/x 1", "train", "benign", True),
    ]
    assert samples[1].files[1] == tmp_path / name


def test_what_lies_in_masks_is_no_image_even_if_nothing_fits(tmp_path: Path) -> None:
    fill(tmp_path, "images/1.png", "masks/one.png")
    with pytest.raises(DataError, match=r"1 masks in .* match no image: masks/one\.png"):
        dataset(tmp_path).samples()


def test_folders_named_mask_without_images_beside_are_classes(tmp_path: Path) -> None:
    samples = dataset(fill(tmp_path, "mask/1.png", "no_mask/1.png")).samples()
    assert [s.label for s in samples] == ["mask", "no_mask"]


def test_masks_in_a_folder_among_their_images(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "b.png", "masks/a.png", "benign/c.png", "benign/GT/c_mask.png")
    fill(tmp_path, "labels/benign/d.tif", "benign/d.png")
    assert masks(tmp_path) == {
        "a.png": ["masks/a.png"],
        "b.png": [],
        "benign/c.png": ["benign/GT/c_mask.png"],
        "benign/d.png": ["labels/benign/d.tif"],
    }
    assert [s.label for s in dataset(tmp_path).samples()] == [None, None, "benign", "benign"]
    fill(tmp_path, "masks/e.png")
    with pytest.raises(DataError, match=r"1 masks in .* match no image: masks/e\.png"):
        dataset(tmp_path).samples()


def test_folders_of_the_decathlon(tmp_path: Path) -> None:
    fill(tmp_path, "imagesTr/a.png", "labelsTr/a.png", "imagesTs/b.png", "labelsTs/b.png")
    expected = {"imagesTr/a.png": ["labelsTr/a.png"], "imagesTs/b.png": ["labelsTs/b.png"]}
    assert masks(tmp_path) == expected
    samples = dataset(tmp_path).samples()
    assert [(s.label, s.split) for s in samples] == [(None, "train"), (None, "test")]


@pytest.mark.parametrize(
    ("images", "there", "part", "label"),
    [
        ("train", "train_masks", "train", None),  # Carvana
        ("Train_Images", "train_masks", "train", None),
        ("img-test", "gt-test", "test", None),
        ("val image", "Val Segmentation", "val", None),
        ("tumour_image", "tumour_mask", None, "tumour_image"),
        ("Training_Input", "Training_GroundTruth", None, "Training_Input"),
        ("original", "GT", None, "original"),
        ("benign", "benign ground_truth", None, "benign"),
    ],
)
@pytest.mark.parametrize("above", ["", "images/"])
def test_folders_of_images_and_of_masks_that_share_a_name(
    tmp_path: Path, images: str, there: str, part: str | None, label: str | None, above: str
) -> None:
    images, there = above + images, above + there
    fill(tmp_path, f"{images}/1.jpg", f"{images}/p/2.jpg", "other/3.jpg", f"{there}/p/2_mask.gif")
    fill(tmp_path, f"{there}/1.png")
    assert masks(tmp_path) == {
        f"{images}/1.jpg": [f"{there}/1.png"],
        f"{images}/p/2.jpg": [f"{there}/p/2_mask.gif"],
        "other/3.jpg": [],
    }
    told = {s.id: (s.split, s.label) for s in dataset(tmp_path).samples()}
    assert told == {
        f"{images}/1": (part, label),
        f"{images}/p/2": (part, "p"),
        "other/3": (None, "other"),
    }


def test_folders_that_only_sound_like_masks_of_others_are_classes(tmp_path: Path) -> None:
    fill(tmp_path, "with_mask/1.png", "without_mask/2.png", "with/3.png", "mask_without/4.png")
    assert {s.label for s in dataset(tmp_path).samples()} == {
        "with_mask",
        "without_mask",
        "with",
        "mask_without",
    }


def test_masks_beside_a_folder_named_as_of_images_must_have_one(tmp_path: Path) -> None:
    fill(tmp_path, "train_images/1.png", "train_masks/2.png")
    with pytest.raises(DataError, match=r"1 masks in .* match no image: train_masks/2\.png"):
        dataset(tmp_path).samples()


def test_names_of_nnunet_need_patterns(tmp_path: Path) -> None:
    fill(tmp_path, "imagesTr/a_1_0000.png", "imagesTs/b_2_0000.png", "labelsTr/a_1.png")
    with pytest.raises(DataError, match=r"1 masks in .* match no image: labelsTr/a_1\.png"):
        dataset(tmp_path).samples()
    patterns = {"images": "images{Tr,Ts}/{stem}_0000.png", "masks": "labels{Tr,Ts}/{stem}.png"}
    assert masks(tmp_path, **patterns) == {
        "imagesTr/a_1_0000.png": ["labelsTr/a_1.png"],
        "imagesTs/b_2_0000.png": [],
    }


def test_masks_beside_their_images(tmp_path: Path) -> None:
    fill(tmp_path, "b/b (1).png", "b/b (1)_mask.png", "b/b (1)_mask_1.png", "n/n (1).png")
    assert masks(tmp_path) == {
        "b/b (1).png": ["b/b (1)_mask.png", "b/b (1)_mask_1.png"],
        "n/n (1).png": [],
    }


def test_names_that_end_in_mask_are_images_where_no_image_has_such_a_mask(tmp_path: Path) -> None:
    assert len(dataset(fill(tmp_path, "face_mask.png", "gas_mask.png", "hat.png")).samples()) == 3


def test_parts_and_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/0.jpg", "train/dog/0.jpg", "test/cat/0.jpg", "Valid/dog/0.jpg")
    config = ImageFolderConfig.model_validate({"root": tmp_path, "split": {"kind": "official"}})
    samples = ImageFolderDataset(config).samples()
    assert make_split(samples, config.split) == {
        "Valid/dog/0": "val",
        "test/cat/0": "test",
        "train/cat/0": "train",
        "train/dog/0": "train",
    }
    assert [s.label for s in samples] == ["dog", "cat", "cat", "dog"]
    assert {s.split for s in dataset(tmp_path, part_folders=False).samples()} == {None}


@pytest.mark.parametrize(
    "paths",
    [
        ("kidney/train/a.png", "kidney/Test/b.png"),
        ("benign/train/images/a.png", "malignant/validation/b.png"),
        ("train/benign/test/a.png", "Task01/imagesTr/b.png"),
    ],
)
def test_parts_that_are_not_topmost_are_not_lost(tmp_path: Path, paths: tuple[str, ...]) -> None:
    data = dataset(fill(tmp_path, "own/c.png", *paths))
    way_out = "set root one level deeper .* set part_folders = false"
    with pytest.raises(DataError, match=rf"2 of 3 images .* not topmost: .*{way_out}"):
        data.samples()
    [problem] = verify(data.config).problems
    assert problem.kind == "files"
    samples = dataset(tmp_path, part_folders=False).samples()
    assert {s.split for s in samples} == {None}


def test_parts_are_no_labels(tmp_path: Path) -> None:
    fill(tmp_path, "kidney/train/a.png", "test/b.png", "images/val/liver/imagesTr/c.png")
    labels = {s.id: s.label for s in dataset(tmp_path, part_folders=False).samples()}
    assert labels == {
        "images/val/liver/imagesTr/c": "liver",
        "kidney/train/a": "kidney",
        "test/b": None,
    }


# Listing


def test_hidden_files_and_what_systems_leave_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "a/.2.png", "a/._1.png", ".git/3.png", "__MACOSX/a/1.png")
    fill(tmp_path, "Thumbs.db", "a/desktop.ini", "a/@eaDir/1.png")
    assert ids(dataset(tmp_path).samples()) == ["a/1"]


@contextmanager
def shuffled(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    with os.scandir(path) as entries:
        found = list(entries)
    random.shuffle(found)
    yield iter(found)


def test_order_does_not_depend_on_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(
        tmp_path, *(f"{a}/{b}{n}.png" for a in ("x", "x-y", "x y", "é") for b in "aB" for n in "12")
    )
    expected = dataset(tmp_path).samples()
    assert ids(expected) == sorted(ids(expected))

    class Os:
        scandir = staticmethod(shuffled)
        path = os.path

    monkeypatch.setattr(listing, "os", Os)
    for _ in range(5):
        assert dataset(tmp_path).samples() == expected


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a/1.png", "b/2.png")
    fill(tmp_path / "far", "deep/3.png", "4.png")
    (root / "up").symlink_to(root)
    (root / "a" / "above").symlink_to(tmp_path)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    (root / "far").symlink_to(tmp_path / "far")
    (root / "far again").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "deep" / "back").symlink_to(tmp_path / "far")
    (root / "b" / "once").symlink_to(root / "a")
    (root / "linked.png").symlink_to(tmp_path / "far" / "4.png")
    assert ids(dataset(root).samples()) == ["a/1", "b/2", "far/4", "far/deep/3", "linked"]


def test_folders_that_link_to_each_other_end_quickly(tmp_path: Path) -> None:
    names = [f"{number:02d}" for number in range(12)]
    fill(tmp_path, *(f"{name}/{name}.png" for name in names))
    for name in names:
        for other in names:
            (tmp_path / name / f"to{other}").symlink_to(tmp_path / other)
    assert ids(dataset(tmp_path).samples()) == [f"{name}/{name}" for name in names]


def test_a_broken_link_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to(tmp_path / "gone.png")
    data = dataset(tmp_path)
    with pytest.raises(DataError, match=r"x\.png"):
        data.read_image(data.samples()[0])


def test_ids_keep_the_suffix_only_where_they_must(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "a/1.jpg", "a/2.png", "a.b/3.tar.png")
    assert ids(dataset(tmp_path).samples()) == ["a.b/3.tar", "a/1.jpg", "a/1.png", "a/2"]
    fill(tmp_path, "a/1.png.png", "a/2.png.png")
    assert ids(dataset(tmp_path).samples())[1:] == [
        "a/1.jpg",
        "a/1.png",
        "a/1.png.png",
        "a/2",
        "a/2.png",
    ]


def test_ids_are_the_same_where_the_file_system_takes_accents_apart(tmp_path: Path) -> None:
    name = "Gerät/é.png"
    fill(tmp_path, unicodedata.normalize("NFD", name))
    assert ids(dataset(tmp_path).samples()) == [unicodedata.normalize("NFC", "Gerät/é")]


def test_names_that_no_file_can_hold_are_told(tmp_path: Path) -> None:
    fill(tmp_path, "a\u202fPM.png")  # as screenshots are named
    assert len(dataset(tmp_path).samples()) == 1
    (tmp_path / os.fsdecode(b"b\xff.png")).write_bytes(b"")
    with pytest.raises(DataError, match="not UTF-8; rename it"):
        dataset(tmp_path).samples()


# Patterns


TREE = (
    "a.png",
    "b.jpg",
    "x/a.png",
    "x/ab.png",
    "x/y/a1.png",
    "x/y/a2.jpg",
    "z/[q].png",
    "z/y/c.png",
)


@pytest.mark.parametrize(
    "pattern",
    [
        "*.png",
        "**/*.png",
        "x/**/*.png",
        "*/*.png",
        "x/*",
        "**/a?.png",
        "**/[ab]*.*",
        "**/a[!b]*.png",
        "*/y/*.jpg",
        "z/[[]q].png",
        "**/y/*",
        "x/**/a*.p*g",
    ],
)
def test_image_patterns_find_what_pathlib_finds(tmp_path: Path, pattern: str) -> None:
    fill(tmp_path, *TREE)
    expected = {str(p.relative_to(tmp_path)) for p in tmp_path.glob(pattern) if p.is_file()}
    assert expected
    found = {path for path in TREE if image_pattern(pattern).fullmatch(path)}
    assert found == expected


def test_choices_and_upper_case() -> None:
    pattern = image_pattern("**/*_{us,ct[0-9]}.{png,tif}")
    fits = ["a_us.png", "d/a_CT1.TIF"]
    assert all(pattern.fullmatch(path) for path in fits)
    assert not any(pattern.fullmatch(path) for path in ["a_ct.png", "a_us.jpg", "us.png"])


def test_stems_are_all_that_a_plain_search_finds() -> None:
    name, text = "a_mask_b_mask_1.png", "{stem}_mask*.png"
    pattern = NamePattern.parse(text)
    slow = [
        stem
        for length in range(len(name), 0, -1)
        for stem in [name[:length]]
        if NamePattern.parse(text.replace("{stem}", stem)).whole.fullmatch(name)
    ]
    assert pattern.stems(name) == slow == ["a_mask_b", "a"]


@pytest.mark.parametrize(
    ("template", "image", "mask"),
    [
        ("{stem}_roi.png", "d/x.jpg", "d/x_roi.png"),
        ("masks/{stem}.png", "pics/x.png", "masks/x.png"),
        ("masks/{inner}/{stem}.png", "pics/a/b/x.png", "masks/a/b/x.png"),
        ("masks/{inner}/{stem}.png", "pics/x.png", "masks/x.png"),
        ("{parent}/roi/{stem}.*", "s1/pics/x.png", "s1/roi/x.bmp"),
        ("{parent}/roi/{stem}.*", "pics/x.png", "roi/x.bmp"),
        ("roi/{folder}/{stem}.png", "a/b/x.png", "roi/a/b/x.png"),
        ("{folder}/{stem}/mask.png", "a/x.png", "a/x/mask.png"),
        ("{folder}/{stem}/{stem}_m?.png", "a/x.png", "a/x/x_m1.png"),
        ("{parent}/masks/*.png", "case1/pics/x.png", "case1/masks/whatever.png"),
        ("**/roi/{stem}.png", "x.png", "deep/down/roi/x.png"),
    ],
)
def test_templates(tmp_path: Path, template: str, image: str, mask: str) -> None:
    fill(tmp_path, image, mask, f"other/{image}")
    found = masks(tmp_path, masks=template, exclude="other/**")
    assert found == {image: [mask]}
    images = masks(tmp_path, images=image, masks=template)
    assert images == {image: [mask]}


def test_the_stem_may_be_a_part_of_the_image_name(tmp_path: Path) -> None:
    fill(tmp_path, "Images/bus_01-l.png", "Images/bus_02-r.png", "Masks/mask_02-r.png")
    settings = {"images": "Images/bus_{stem}.png", "masks": "Masks/mask_{stem}.png"}
    assert masks(tmp_path, **settings) == {
        "Images/bus_01-l.png": [],
        "Images/bus_02-r.png": ["Masks/mask_02-r.png"],
    }


def test_several_templates_are_united(tmp_path: Path) -> None:
    fill(tmp_path, "x.jpg", "x_a.png", "x_b.png", "roi/x.png")
    found = masks(tmp_path, masks=["{stem}_?.png", "roi/{stem}.png"])
    assert found == {"x.jpg": ["roi/x.png", "x_a.png", "x_b.png"]}


def test_a_mask_goes_to_the_longest_name_that_fits(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "a_1.jpg", "a_seg.png", "a_1_seg.png")
    found = masks(tmp_path, images="*.jpg", masks="{stem}_*.png")
    assert found == {"a.jpg": ["a_seg.png"], "a_1.jpg": ["a_1_seg.png"]}


def test_one_mask_may_be_for_all_images_of_a_folder(tmp_path: Path) -> None:
    fill(tmp_path, "v/1.jpg", "v/2.jpg", "v/sector.png", "w/1.jpg")
    found = masks(tmp_path, masks="sector.png")
    assert found == {"v/1.jpg": ["v/sector.png"], "v/2.jpg": ["v/sector.png"], "w/1.jpg": []}


def test_no_masks_wanted(tmp_path: Path) -> None:
    data = dataset(fill(tmp_path, "x.png", "x_mask.png"), masks="none")
    assert ids(data.samples()) == ["x", "x_mask"]
    assert data.info.classes == ()


# Labels and groups


def test_labels_and_groups_by_expression(tmp_path: Path) -> None:
    fill(tmp_path, "p1/left_benign_1.png", "p1/right_normal_2.png", "p2/left_benign_1.png")
    data = dataset(tmp_path, labels=r"_(?P<side>)(?P<label>[a-z]+)_", groups=r"^(p\d+)/")
    samples = data.samples()
    assert [(s.label, s.group) for s in samples] == [
        ("benign", "p1"),
        ("normal", "p1"),
        ("benign", "p2"),
    ]
    assert {s.label for s in dataset(tmp_path, labels="none").samples()} == {None}


def test_a_path_without_a_group_has_none(tmp_path: Path) -> None:
    fill(tmp_path, "p1_a.png", "b.png")
    samples = dataset(tmp_path, groups="(?P<group>p[0-9])").samples()
    assert [(s.id, s.group) for s in samples] == [("b", None), ("p1_a", "p1")]


@pytest.mark.parametrize("setting", ["labels", "groups"])
def test_an_expression_that_finds_nothing(tmp_path: Path, setting: str) -> None:
    fill(tmp_path, "a.png")
    with pytest.raises(DataError, match=rf"{setting} = 'x\(y\)' finds nothing .* 'a\.png'"):
        dataset(tmp_path, **{setting: "x(y)"}).samples()


# Mistakes


def test_nothing_matches(tmp_path: Path) -> None:
    fill(tmp_path, "a.dcm", "b.dcm", "c.nii.gz", "README", "d.png")
    message = r"matching '\*\*/\*\.jpg'; there are 2 \.dcm, .*1 \.png.*; read are bmp"
    with pytest.raises(DataError, match=message):
        dataset(tmp_path, images="**/*.jpg").samples()


def test_there_is_no_folder_or_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"there is no folder .*/nowhere"):
        dataset(tmp_path / "nowhere").samples()
    with pytest.raises(DatasetNotFoundError, match="holds no file"):
        dataset(tmp_path).samples()
    with pytest.raises(DatasetNotFoundError, match="not said where the data lie"):
        ImageFolderDataset(ImageFolderConfig()).samples()


def test_a_mask_pattern_that_takes_all_images(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png")
    with pytest.raises(DataError, match=r"takes all 2 images .* such as 1\.png"):
        dataset(tmp_path, masks="{stem}.png").samples()


def test_a_mask_pattern_that_takes_some_images_leaves_orphans(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a_seg.png", "b_2.png")
    with pytest.raises(DataError, match=r"1 masks .* match no image: b_2\.png"):
        dataset(tmp_path, masks="{stem}_*.png").samples()
    assert ids(dataset(tmp_path, masks="{stem}_*.png", skip_unreadable=True).samples()) == ["a"]


def test_masks_without_images(tmp_path: Path) -> None:
    fill(tmp_path, "images/1.png", "masks/1.png", *(f"masks/{n}.png" for n in range(2, 7)))
    with pytest.raises(
        DataError, match=r"5 masks .*: masks/2.png, masks/3.png, masks/4.png, \.\.\."
    ):
        dataset(tmp_path).samples()


def test_a_mask_that_fits_images_of_two_folders(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jpg", "b/1.jpg", "roi/1.png")
    with pytest.raises(DataError, match=r"roi/1\.png, which fits a/1\.jpg and b/1\.jpg"):
        dataset(tmp_path, masks="roi/{stem}.png").samples()


def test_images_without_masks(tmp_path: Path) -> None:
    fill(tmp_path, "images/1.png", "images/2.png", "masks/1.png")
    with pytest.raises(
        DataError, match=r"1 of 2 images .* no mask by any usual name: images/2\.png"
    ):
        dataset(tmp_path, require_masks=True).samples()
    with pytest.raises(DataError, match=r"2 of 2 .* by masks = '\{stem\}_roi\.png'"):
        dataset(tmp_path, images="images/*", masks="{stem}_roi.png").samples()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masks": "masks/*.png"}, "does not say to which image"),
        ({"masks": "masks/{name}.png"}, r"\{name\} cannot stand there"),
        ({"masks": "{folder}_{stem}.png"}, r"\{folder\} cannot stand there"),
        ({"masks": "{folder}x/{stem}.png"}, "needs a / after it"),
        ({"masks": "{stem}_{stem}.png"}, "twice"),
        ({"masks": "../masks/{stem}.png"}, "below the root"),
        ({"masks": []}, "names no pattern"),
        ({"images": "/data/*.png"}, "below the root"),
        ({"images": "[z-a].png"}, "is no pattern"),
        ({"images": []}, "at least 1 item"),
        ({"labels": "(benign"}, "no regular expression"),
        ({"groups": "p[0-9]+"}, "needs a group"),
        ({"masks": "none", "require_masks": True}, "no meaning"),
        ({"mask_values": {"1": "background"}}, "no class but background"),
        ({"mask_values": {"-1": "liver"}}, "greater than or equal to 0"),
        ({"channels": 2}, "1 or 3"),
    ],
)
def test_mistakes_in_the_config(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ImageFolderConfig.model_validate(settings)


def test_a_config_survives_json() -> None:
    config = ImageFolderConfig(
        images="a/*.png", masks=["{stem}_m.png"], mask_values={128: "liver", 255: "spleen"}
    )
    assert ImageFolderConfig.model_validate_json(config.model_dump_json()) == config


# Pixels


def test_colour_or_gray(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    for channels, expected in ((3, colours()), (1, colours() @ np.array([0.299, 0.587, 0.114]))):
        data = dataset(tmp_path, channels=channels)
        assert data.info.channels == channels
        np.testing.assert_allclose(data.read_image(data.samples()[0]), expected, atol=1)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits(tmp_path: Path, suffix: str) -> None:
    gray = colours()[..., 0]
    save(tmp_path / f"x.{suffix}", gray.astype(np.uint16) * 256 + 77)
    data = dataset(tmp_path, channels=1)
    np.testing.assert_array_equal(data.read_image(data.samples()[0]), gray)


def only(data: ImageFolderDataset) -> Sample:
    [sample] = data.samples()
    return sample


def test_binary_masks_are_united(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", box(1, 1), "1")
    save(tmp_path / "x_mask_1.png", box(2, 3), "RGBA")
    data = dataset(tmp_path)
    mask = data.read_mask(only(data))
    assert mask is not None
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, (box(1, 1) > 0) | (box(2, 3) > 0))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_masks_of_zero_and_one(tmp_path: Path, mode: str) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", box(1, 1, 1), mode)
    data = dataset(tmp_path)
    np.testing.assert_array_equal(data.read_mask(only(data)), box(1, 1) > 0)


def test_masks_of_low_values_ask_for_what_they_mean(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", box(1, 1, 3))
    data = dataset(tmp_path)
    with pytest.raises(DataError, match="values up to 3 but none above 127"):
        data.read_mask(only(data))


@pytest.mark.parametrize(("factor", "values"), [(1, 2), (2, 5), (3, 10), (4, 17)])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_masks_of_two_values_may_have_soft_edges(
    tmp_path: Path, factor: int, values: int, mode: str
) -> None:
    drawn = PillowImage.new("L", (64 * factor, 48 * factor))
    pen = ImageDraw.Draw(drawn)
    pen.ellipse([factor * at for at in (5.3, 6.1, 40.8, 30.2)], fill=255)
    pen.line([factor * at for at in (2.0, 45.5, 60.2, 33.3)], fill=255, width=2 * factor)
    mask = np.asarray(drawn.reduce(factor))
    assert len(np.unique(mask)) == values
    save(tmp_path / "x.png", np.zeros((48, 64), np.uint8))
    if mode == "I;16":
        save(tmp_path / "x_mask.png", mask.astype(np.uint16) * 257)
    else:
        save(tmp_path / "x_mask.png", mask, mode)
    data = dataset(tmp_path)
    np.testing.assert_array_equal(data.read_mask(only(data)), mask > 127)


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 255), (85, 255), (128, 255)])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16"])
def test_maps_of_several_classes_ask_for_their_names(
    tmp_path: Path, low: int, high: int, mode: str
) -> None:
    # The higher value may be a line, such as a border of pixels that do not count.
    mask = box(4, 4, low)
    mask[0] = high
    save(tmp_path / "x.png", colours())
    path = tmp_path / "x_mask.png"
    if mode == "P":
        picture = PillowImage.fromarray(mask)
        picture.putpalette([level for level in range(256) for _ in range(3)])
        picture.save(path)
    elif mode == "I;16":
        save(path, mask.astype(np.uint16))
    else:
        save(path, mask, mode)
    data = dataset(tmp_path)
    told = rf"x_mask\.png holds the gray values 0, {low}, {high} as areas.* in mask_values"
    with pytest.raises(DataError, match=told):
        data.read_mask(only(data))
    [problem] = verify(data.config).problems
    assert (problem.kind, problem.sample) == ("mask", "x")
    named = dataset(tmp_path, mask_values={low: "lesion", high: "background"})
    np.testing.assert_array_equal(named.read_mask(only(named)), mask == low)


def test_values_that_a_jpeg_made_are_no_classes(tmp_path: Path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:20] = 255
    save(tmp_path / "x.png", np.zeros((48, 64), np.uint8))
    path = tmp_path / "x_mask.jpg"
    PillowImage.fromarray(mask).save(path, quality=52)
    with PillowImage.open(path) as picture:
        stored = np.asarray(picture)
    assert len(np.unique(stored)) <= 8
    assert (stored[32:40] == 1).all()
    data = dataset(tmp_path)
    np.testing.assert_array_equal(data.read_mask(only(data)), mask > 127)


def test_a_mask_drawn_in_a_colour(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", np.stack([box(1, 1), box(1, 1, 40), box(1, 1, 0)], axis=2))
    data = dataset(tmp_path)
    np.testing.assert_array_equal(data.read_mask(only(data)), box(1, 1) > 0)


@pytest.mark.parametrize("settings", [{}, {"mask_values": {"255": "lesion"}}])
def test_masks_of_several_pages(tmp_path: Path, settings: dict[str, Any]) -> None:
    save(tmp_path / "x.png", colours())
    first, second = (PillowImage.fromarray(box(at, at)) for at in (1, 5))
    first.save(tmp_path / "x_mask.tif", save_all=True, append_images=[second])
    data = dataset(tmp_path, **settings)
    with pytest.raises(DataError, match=r"x_mask\.tif: it holds 2 pages or frames; write each"):
        data.read_mask(only(data))


def test_stacks_are_found_and_may_be_left_out(tmp_path: Path) -> None:
    save(tmp_path / "a.png", colours())
    first, second = (PillowImage.fromarray(colours(seed)) for seed in (1, 2))
    first.save(tmp_path / "b.tif", save_all=True, append_images=[second])
    first.save(tmp_path / "c.gif")
    [problem] = verify(dataset(tmp_path).config).problems
    assert (problem.kind, problem.sample) == ("image", "b")
    assert "it holds 2 pages or frames; write each as a file of its own" in problem.reason
    settings = {"root": tmp_path, "split": {"ratios": (1, 0, 0)}}
    with pytest.raises(DataError, match=r"b\.tif: it holds 2 pages (?s:.*)skip_unreadable"):
        load_data(ImageFolderConfig.model_validate(settings), size=8, channels=3, masks=False)
    lenient = ImageFolderConfig.model_validate({**settings, "skip_unreadable": True})
    assert list(load_data(lenient, size=8, channels=3, masks=False).cache.unreadable) == [1]


VALUES = {"50": "liver", "100": "spleen", "101": "spleen", "255": "background"}
MAP = np.zeros((HEIGHT, WIDTH), np.uint8)
MAP[0, :4] = (50, 100, 101, 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_gray_values_are_classes(tmp_path: Path, mode: str) -> None:
    save(tmp_path / "images" / "x.png", colours())
    path = tmp_path / "masks" / "x.png"
    if mode == "P":
        path.parent.mkdir()
        picture = PillowImage.fromarray(MAP)
        picture.putpalette(list(np.random.default_rng(1).integers(0, 256, 768)))
        picture.save(path)
        with PillowImage.open(path) as written:
            assert written.mode == "P"
    elif mode == "I;16":
        save(path, MAP.astype(np.uint16))
    else:
        save(path, MAP, mode)
    data = dataset(tmp_path, mask_values=VALUES)
    assert data.info.classes == ("liver", "spleen")
    mask = data.read_mask(only(data))
    assert mask is not None
    assert mask[0, :5].tolist() == [1, 2, 2, 0, 0]
    assert not mask[1:].any()


def test_sixteen_bit_labels_keep_their_low_bits(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", box(0, 0, 1).astype(np.uint16) * 1001)
    data = dataset(tmp_path, mask_values={1001: "cyst"})
    np.testing.assert_array_equal(data.read_mask(only(data)), box(0, 0, 1))


def test_a_value_without_a_class_is_named(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", MAP)
    data = dataset(tmp_path, mask_values={50: "liver"})
    with pytest.raises(DataError, match=r"x_mask\.png holds .* 100, 101, 255, .* names 0, 50;"):
        data.read_mask(only(data))


def test_coloured_and_damaged_label_maps(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    path = save(tmp_path / "x_mask.png", colours())
    data = dataset(tmp_path, mask_values={50: "liver"})
    sample = only(data)
    with pytest.raises(DataError, match=r"x_mask\.png: it is coloured"):
        data.read_mask(sample)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot read the image .*x_mask\.png"):
        data.read_mask(sample)


def test_masks_of_several_files_must_agree(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask_1.png", box(1, 1, 50))
    save(tmp_path / "x_mask_2.png", box(5, 1, 100))
    data = dataset(tmp_path, mask_values=VALUES)
    expected = (box(1, 1, 1) + box(5, 1, 2)).astype(np.uint8)
    np.testing.assert_array_equal(data.read_mask(only(data)), expected)
    save(tmp_path / "x_mask_2.png", box(2, 1, 100))
    with pytest.raises(DataError, match=r"x_mask_2\.png gives pixels another class"):
        data.read_mask(only(data))


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    save(tmp_path / "x_mask.png", box(1, 1)[:, :-1])
    data = dataset(tmp_path)
    with pytest.raises(
        DataError, match=r"x_mask\.png is 13x10 pixels, but its image x\.png is 14x10"
    ):
        data.read_mask(only(data))


def test_the_whole_way_into_the_cache(tmp_path: Path) -> None:
    save(tmp_path / "images" / "x.png", np.full((16, 16, 3), (200, 100, 50), np.uint8))
    save(tmp_path / "images" / "y.png", np.zeros((16, 16, 3), np.uint8))
    save(tmp_path / "masks" / "x.png", np.full((16, 16), 255, np.uint8))
    config = config_model("dataset", "image_folder")(root=tmp_path, split={"ratios": (1, 0, 0)})
    assert isinstance(factory("dataset", "image_folder")(config), ImageFolderDataset)
    loaded = load_data(config, size=8, channels=3, masks=True)
    assert loaded.cache.masks is not None
    assert loaded.cache.images[0, :, 0, 0].tolist() == [200, 100, 50]
    assert loaded.cache.masks[0].all()
    assert not loaded.cache.masks[1].any()


def test_a_folder_without_masks_cannot_be_learnt_from(tmp_path: Path) -> None:
    save(tmp_path / "x.png", colours())
    config = ImageFolderConfig.model_validate({"root": tmp_path, "split": {"ratios": (1, 0, 0)}})
    with pytest.raises(DataError, match="has no masks to learn from"):
        load_data(config, size=8, channels=3, masks=True)


def test_what_the_config_says_is_on_the_card(tmp_path: Path) -> None:
    info = dataset(tmp_path, organ="thyroid", licence="CC0-1.0", citation="Us, 2024").info
    assert (info.organ, info.modality, info.licence) == ("thyroid", "unknown", "CC0-1.0")
    assert info.citation == "Us, 2024"


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_image_folder, ssl_registry_image_folder.config\n"
        "list(ssl_registry_image_folder.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_relations_name_the_fields_that_must_agree() -> None:
    assert MaskPattern.parse("{stem}_m.png").fields == ("folder", "stem")
    assert MaskPattern.parse("masks/{stem}.png").fields == ("stem",)


# Real data


@pytest.mark.data
def test_real_busi_gives_the_masks_of_its_own_reader(data_root: Path) -> None:
    own = factory("dataset", "busi")(config_model("dataset", "busi")(root=data_root / "busi"))
    data = dataset(data_root / "busi", channels=1)
    samples = {sample.files[0]: sample for sample in data.samples()}
    expected = own.samples()
    assert len(samples) == len(expected) == 780
    for sample in expected:
        same = samples[sample.files[0]]
        assert same.label == sample.label
        assert set(same.files) == set(sample.files)
        if len(sample.files) > 2:
            np.testing.assert_array_equal(data.read_mask(same), own.read_mask(sample))


@pytest.mark.data
def test_real_cifar_pictures(data_root: Path, tmp_path: Path) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    with tarfile.open(data_root / "cifar10_jpeg.tar.xz", "r|xz") as archive:
        for member in archive:
            archive.extract(member, tmp_path, filter="data")
            if member.isfile():
                part, label, _ = Path(member.name).parts[-3:]
                expected[part, label] += 1
            if expected.total() == 300:
                break
    data = dataset(tmp_path)
    samples = data.samples()
    assert Counter((s.split, s.label) for s in samples) == expected
    assert all(data.read_image(s).shape == (32, 32, 3) for s in samples)


@pytest.mark.data
def test_real_natural_images(data_root: Path) -> None:
    data = dataset(data_root / "imagenet_sample_84")
    samples = data.samples()
    assert len(samples) == len({s.label for s in samples}) == 1000
    assert {data.read_image(s).shape for s in samples[::50]} == {(84, 84, 3)}
