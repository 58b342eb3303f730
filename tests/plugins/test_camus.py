from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydantic import ValidationError

from ssl_registry import DataError, DatasetNotFoundError, Sample, SplitConfig
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_camus.config import CamusConfig
from ssl_registry_camus.dataset import CamusDataset

HEIGHT, WIDTH = 9, 14
FIRST = "patient0001_2CH_ED"


def frame(seed: int = 0) -> np.ndarray:
    """A picture `[H, W]` as it is looked at; it is neither square nor symmetric."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def labels() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:4, 2:6] = 1
    mask[1:4, 6] = 2
    mask[5:8, 3:5] = 3
    return mask


def write_nifti(path: Path, picture: np.ndarray, dtype: Any = None) -> None:
    """Write a picture as the release does: the horizontal axis comes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    across = picture.T.astype(dtype or picture.dtype)
    nibabel.save(nibabel.Nifti1Image(across, np.diag([0.3, 0.15, 1, 1])), path)


def write_metaimage(path: Path, picture: np.ndarray, packed: bool = False, **keys: str) -> None:
    """Write a picture as the older release does: a text header and rows of pixels beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = picture.tobytes()
    content = zlib.compress(content) if packed else content
    data = path.with_suffix(".zraw" if packed else ".raw")
    data.write_bytes(content)
    height, width = picture.shape
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(packed),
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "ElementSpacing": "0.308 0.154 1.54",
        "DimSize": f"{width} {height} 1",
        "ElementType": "MET_UCHAR",
        **keys,
        "ElementDataFile": keys.get("ElementDataFile", data.name),
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in header.items()))


def path_of(root: Path, name: str = FIRST, suffix: str = ".nii.gz") -> Path:
    return root / "database_nifti" / name.partition("_")[0] / f"{name}{suffix}"


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    """A tiny NIfTI release: patients 1, 2 and 10, one in each official part."""
    for patient in (1, 2, 10):
        folder = tmp_path / "database_nifti" / f"patient{patient:04d}"
        for view in ("2CH", "4CH"):
            for phase in ("ED", "ES"):
                stem = f"{folder.name}_{view}_{phase}"
                write_nifti(folder / f"{stem}.nii.gz", frame(patient))
                write_nifti(folder / f"{stem}_gt.nii.gz", labels())
            sequence = np.zeros((WIDTH, HEIGHT, 5), np.uint8)
            for kind in ("half_sequence", "half_sequence_gt"):
                image = nibabel.Nifti1Image(sequence, np.eye(4))
                nibabel.save(image, folder / f"{folder.name}_{view}_{kind}.nii.gz")
    lists = tmp_path / "database_split"
    lists.mkdir()
    (lists / "subgroup_training.txt").write_text("patient0001\n")
    (lists / "subgroup_validation.txt").write_text("patient0010\r\n\n")
    (lists / "subgroup_testing.txt").write_text("patient0002")
    return tmp_path


@pytest.fixture
def metaimage(tmp_path: Path) -> Path:
    """A tiny MetaImage release: two patients for training and one, without masks, for testing."""
    for part, patients in (("training", (1, 2)), ("testing", (1,))):
        for patient in patients:
            folder = tmp_path / part / f"patient{patient:04d}"
            for view in ("2CH", "4CH"):
                for phase in ("ED", "ES"):
                    stem = f"{folder.name}_{view}_{phase}"
                    write_metaimage(folder / f"{stem}.mhd", frame(patient + len(part)))
                    if part == "training":
                        write_metaimage(folder / f"{stem}_gt.mhd", labels())
                write_metaimage(folder / f"{folder.name}_{view}_sequence.mhd", frame())
    return tmp_path


def dataset(root: Path, **settings: Any) -> CamusDataset:
    return CamusDataset(CamusConfig(root=root, **settings))


def sample(data: CamusDataset, name: str = FIRST) -> Sample:
    return next(s for s in data.samples() if s.id == name)


def image_of(root: Path, name: str = FIRST) -> np.ndarray:
    data = dataset(root)
    return data.read_image(sample(data, name))


def mask_of(root: Path, name: str = FIRST) -> np.ndarray:
    data = dataset(root)
    mask = data.read_mask(sample(data, name))
    assert mask is not None
    return mask


# --- What is listed


def test_frames_are_listed_by_patient_view_and_phase_without_sequences(nifti: Path) -> None:
    samples = dataset(nifti).samples()
    assert [s.id for s in samples] == [
        f"{patient}_{view}_{phase}"
        for patient in ("patient0001", "patient0002", "patient0010")
        for view in ("2CH", "4CH")
        for phase in ("ED", "ES")
    ]
    assert [path.name for path in samples[0].files] == [f"{FIRST}.nii.gz", f"{FIRST}_gt.nii.gz"]
    assert all(s.has_mask and s.label is None for s in samples)
    assert samples[5].group == "patient0002"
    assert samples[5].meta == {
        "organ": "heart",
        "patient": "patient0002",
        "view": "2CH",
        "phase": "ES",
    }


@pytest.mark.parametrize("place", [".", "database_nifti", "..", "moved"])
def test_root_may_be_the_folder_above_or_the_release_itself(nifti: Path, place: str) -> None:
    expected = [(s.id, s.split) for s in dataset(nifti).samples()]
    root = nifti / place
    if place == "..":  # the folder that holds the unpacked archive
        root = nifti / "above"
        (root / "CAMUS_public").mkdir(parents=True)
        for name in ("database_nifti", "database_split"):
            (nifti / name).rename(root / "CAMUS_public" / name)
    if place == "moved":  # patients and lists in one folder
        (nifti / "database_nifti").rename(root)
        (nifti / "database_split").rename(root / "database_split")
    assert [(s.id, s.split) for s in dataset(root).samples()] == expected


def test_views_and_phases_can_be_chosen(nifti: Path) -> None:
    names = [s.id for s in dataset(nifti, views=("4CH",), phases=("ES",)).samples()]
    assert names == [f"patient{number}_4CH_ES" for number in ("0001", "0002", "0010")]
    assert len(dataset(nifti, phases=("ED",)).samples()) == 6
    for settings in ({"views": ()}, {"phases": ("ED", "MD")}, {"views": ("3CH",)}):
        with pytest.raises(ValidationError, match=next(iter(settings))):
            dataset(nifti, **settings)


def test_component_is_found_and_created_by_name(nifti: Path) -> None:
    data = factory("dataset", "camus")(config_model("dataset", "camus")(root=nifti))
    assert [s.id for s in data.samples()][:1] == [FIRST]
    assert data.info.classes == ("left ventricle endocardium", "myocardium", "left atrium")
    assert data.info.exclusive


def test_official_parts_come_from_the_lists(nifti: Path) -> None:
    data = dataset(nifti)
    split = make_split(data.samples(), data.config.split)
    parts = {(s.group, split[s.id]) for s in data.samples()}
    assert parts == {("patient0001", "train"), ("patient0010", "val"), ("patient0002", "test")}


def test_without_the_lists_there_is_no_official_split(nifti: Path) -> None:
    for path in (nifti / "database_split").iterdir():
        path.unlink()
    data = dataset(nifti)
    assert {s.split for s in data.samples()} == {None}
    with pytest.raises(DataError, match=r"no official part.*choose another split\.kind"):
        make_split(data.samples(), data.config.split)


def test_patient_in_two_lists(nifti: Path) -> None:
    (nifti / "database_split" / "subgroup_testing.txt").write_text("patient0002\npatient0010\n")
    with pytest.raises(DataError, match=r"subgroup_testing\.txt names patient0010.*also in val"):
        dataset(nifti).samples()


def test_facts_of_a_view_are_told_where_the_release_has_them(nifti: Path) -> None:
    folder = nifti / "database_nifti" / "patient0001"
    (folder / "Info_2CH.cfg").write_text(
        "ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: 56\nImageQuality: Good\nEF: 48.5\n"
        "FrameRate: 63.1\nno colon\nSurprise: 3: 4\n"
    )
    (folder / "Info_4CH.cfg").write_text("ImageQuality: \nSex:M\r\nLVef: 40\n")
    facts = {s.id: dict(s.meta) for s in dataset(nifti).samples()}
    for name in (FIRST, "patient0001_2CH_ES"):
        told = {"image_quality": "Good", "sex": "F", "age": "56", "ejection_fraction": "48.5"}
        assert told.items() <= facts[name].items()
        assert len(facts[name]) == 8
    other = facts["patient0001_4CH_ED"]
    assert other["sex"] == "M"
    assert other["ejection_fraction"] == "40"
    assert "image_quality" not in other
    assert "sex" not in facts["patient0002_2CH_ED"]


def test_foreign_files_are_passed_over(nifti: Path) -> None:
    before = dataset(nifti).samples()
    folder = nifti / "database_nifti" / "patient0001"
    for name in (
        f"._{FIRST}.nii.gz",
        f"{FIRST}.txt",
        f"{FIRST}_gt_copy.nii.gz",
        "patient0009_2CH_ED.nii.gz",
        "patient0001_3CH_ED.nii.gz",
        "Thumbs.db",
    ):
        (folder / name).write_bytes(b"")
    (nifti / "database_nifti" / "patient0003").write_bytes(b"")
    (nifti / "database_nifti" / "patient0004").mkdir()
    (nifti / "database_nifti" / "results").mkdir()
    assert dataset(nifti).samples() == before


def test_listing_opens_no_frame(nifti: Path) -> None:
    for path in nifti.rglob("*.nii.gz"):
        path.write_bytes(b"")
    assert len(dataset(nifti).samples()) == 12


# --- Pixels of the NIfTI release


def test_every_pixel_lies_where_it_was_drawn(nifti: Path) -> None:
    np.testing.assert_array_equal(image_of(nifti), frame(1))
    mask = mask_of(nifti)
    np.testing.assert_array_equal(mask, labels())
    assert mask.dtype == np.uint8
    assert image_of(nifti).flags.writeable


@pytest.mark.parametrize("suffix", [".nii", ".NII", ".NII.GZ", ".nii.GZ"])
def test_suffix_in_any_case_and_unpacked(nifti: Path, suffix: str) -> None:
    content = path_of(nifti).read_bytes()
    path_of(nifti).unlink()
    packed = suffix.lower().endswith(".gz")
    other = path_of(nifti, suffix=suffix)
    other.write_bytes(content if packed else gzip.decompress(content))
    assert sample(dataset(nifti)).files[0] == other
    np.testing.assert_array_equal(image_of(nifti), frame(1))


def test_packed_file_is_taken_where_its_unpacked_copy_lies_beside_it(nifti: Path) -> None:
    before = dataset(nifti).samples()
    write_nifti(path_of(nifti, suffix=".nii"), frame(77))
    assert dataset(nifti).samples() == before


def test_unpacked_file_that_kept_its_suffix(nifti: Path) -> None:
    path_of(nifti).write_bytes(gzip.decompress(path_of(nifti).read_bytes()))
    np.testing.assert_array_equal(image_of(nifti), frame(1))


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32", "float32", "float64", ">i2"])
def test_gray_levels_of_another_type_are_kept(nifti: Path, kind: str) -> None:
    write_nifti(path_of(nifti), frame(4), np.dtype(kind))
    image = image_of(nifti)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, frame(4))


@pytest.mark.parametrize(("low", "high"), [(0, 4095), (-100, 100), (0.0, 1.0), (-1e308, 1.5e308)])
def test_other_values_are_scaled_from_least_to_greatest(
    nifti: Path, low: float, high: float
) -> None:
    share = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    values = low * (1 - share) + high * share
    is_whole = isinstance(low, int)
    write_nifti(path_of(nifti), values, np.int16 if is_whole else np.float64)
    image = image_of(nifti).astype(float)
    np.testing.assert_allclose(image, 255 * share, atol=0.51 + (1.3 if is_whole else 0))
    assert (image.min(), image.max()) == (0, 255)


def test_scaled_values_are_multiplied_out(nifti: Path) -> None:
    image = nibabel.Nifti1Image(frame(4).T.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, path_of(nifti))
    truth = np.asarray(nibabel.load(path_of(nifti)).dataobj).T
    scaled = np.rint(255 * (truth - truth.min()) / (truth.max() - truth.min()))
    np.testing.assert_array_equal(image_of(nifti), scaled)


def test_constant_frame_of_another_type_is_black(nifti: Path) -> None:
    write_nifti(path_of(nifti), np.full((HEIGHT, WIDTH), -7), np.int16)
    assert not image_of(nifti).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(nifti: Path, value: float) -> None:
    values = frame().astype(np.float32)
    values[2, 2] = value
    write_nifti(path_of(nifti), values)
    with pytest.raises(DataError, match=rf"{FIRST}\.nii\.gz holds values that are not finite"):
        image_of(nifti)


@pytest.mark.parametrize("shape", [(WIDTH, HEIGHT, 1), (WIDTH, HEIGHT, 1, 1)])
def test_further_axes_of_length_one_are_dropped(nifti: Path, shape: tuple[int, ...]) -> None:
    across = np.asfortranarray(frame(6).T).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(across, np.eye(4)), path_of(nifti))
    np.testing.assert_array_equal(image_of(nifti), frame(6))


@pytest.mark.parametrize("shape", [(WIDTH, HEIGHT, 3), (WIDTH,), (1, 1, WIDTH)])
def test_volume_is_not_a_frame(nifti: Path, shape: tuple[int, ...]) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)), path_of(nifti))
    told = "x".join(map(str, shape))
    with pytest.raises(DataError, match=rf"{FIRST}\.nii\.gz is not one frame: .* is {told}, not"):
        image_of(nifti)


def test_colour_is_refused(nifti: Path) -> None:
    colour = np.zeros((WIDTH, HEIGHT), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), path_of(nifti))
    with pytest.raises(DataError, match="no gray levels"):
        image_of(nifti)


@pytest.mark.parametrize("kind", ["int16", "float32"])
def test_mask_of_another_type(nifti: Path, kind: str) -> None:
    write_nifti(path_of(nifti, FIRST + "_gt"), labels(), kind)
    np.testing.assert_array_equal(mask_of(nifti), labels())


@pytest.mark.parametrize("value", [4, 255, -1, 1.5, np.nan])
def test_mask_with_a_value_that_is_no_class(nifti: Path, value: float) -> None:
    mask = labels().astype(np.float32)
    mask[3, 3] = value
    write_nifti(path_of(nifti, FIRST + "_gt"), mask)
    with pytest.raises(DataError, match=rf"_gt\.nii\.gz has 1 pixels of other .* such as {value}"):
        mask_of(nifti)


def test_mask_of_another_size_names_the_file_and_both_sizes(nifti: Path) -> None:
    write_nifti(path_of(nifti, FIRST + "_gt"), labels()[:, :-1])
    data = dataset(nifti)
    told = rf"{FIRST}_gt\.nii\.gz is 13x9 pixels, but its frame .* is 14x9"
    with pytest.raises(DataError, match=told):
        data.read_mask(sample(data))
    data.read_image(sample(data))
    with pytest.raises(DataError, match=told):
        data.read_mask(sample(data))


def test_frame_without_a_mask_can_be_read_but_its_mask_cannot(nifti: Path) -> None:
    path_of(nifti, FIRST + "_gt").unlink()
    data = dataset(nifti)
    assert data.read_image(sample(data)).shape == (HEIGHT, WIDTH)
    with pytest.raises(DataError, match=rf"{FIRST}\.nii\.gz has no mask {FIRST}_gt\.nii\.gz"):
        data.read_mask(sample(data))


def test_mask_without_its_frame(nifti: Path) -> None:
    path_of(nifti).unlink()
    with pytest.raises(DataError, match=rf"{FIRST}_gt\.nii\.gz lacks its frame"):
        dataset(nifti).samples()
    skipped = dataset(nifti, skip_unreadable=True).samples()
    assert len(skipped) == 11
    assert len(dataset(nifti, views=("4CH",)).samples()) == 6


# --- Damage


def test_truncated_or_damaged_archive_is_always_told(nifti: Path) -> None:
    data = dataset(nifti)
    target = sample(data)
    whole = target.files[0].read_bytes()
    for length in range(0, len(whole), 5):
        target.files[0].write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"{FIRST}\.nii\.gz"):
            data.read_image(target)
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= draw.randrange(1, 256)
        target.files[0].write_bytes(damaged)
        try:
            image = data.read_image(target)
        except DataError as error:
            assert f"{FIRST}.nii.gz" in str(error)
        else:  # such as the time in gzip's header
            np.testing.assert_array_equal(image, frame(1))


def test_damaged_header_never_gives_anything_but_a_data_error(nifti: Path) -> None:
    data = dataset(nifti)
    target = sample(data)
    whole = gzip.decompress(target.files[0].read_bytes())
    draw = random.Random(1)
    refused = 0
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            damaged[draw.randrange(352)] = draw.choice((0, 1, 255, draw.randrange(256)))
        target.files[0].write_bytes(damaged)
        try:
            assert data.read_image(target).dtype == np.uint8
        except DataError as error:
            assert f"{FIRST}.nii.gz" in str(error)
            refused += 1
    assert refused > 20


def test_odd_header_is_read_silently(nifti: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(gzip.decompress(path_of(nifti).read_bytes()))
    content[76:80] = np.float32(7).tobytes()  # pixdim[0], which must be 1 or -1
    content[252:254] = np.int16(99).tobytes()  # an unknown qform code
    path_of(nifti).write_bytes(content)
    np.testing.assert_array_equal(image_of(nifti), frame(1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"", b"PNG", b"\0" * 5000, b"<html>" * 100])
def test_file_of_another_kind(nifti: Path, content: bytes) -> None:
    path_of(nifti).write_bytes(content)
    with pytest.raises(DataError, match=rf"{FIRST}\.nii\.gz is no NIfTI"):
        image_of(nifti)


def test_vanished_file(nifti: Path) -> None:
    data = dataset(nifti)
    target = sample(data)
    target.files[0].unlink()
    with pytest.raises(DataError, match=rf"cannot read .*{FIRST}\.nii\.gz"):
        data.read_image(target)


def test_several_threads_read_what_one_reads(nifti: Path) -> None:
    data = dataset(nifti)
    samples = list(data.samples()) * 20
    alone = [(data.read_image(s), data.read_mask(s)) for s in samples]
    fresh = dataset(nifti)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda s: (fresh.read_image(s), fresh.read_mask(s)), samples))
    np.testing.assert_equal(together, alone)


# --- The MetaImage release


def test_metaimage_frames_have_unique_ids_and_parts(metaimage: Path) -> None:
    samples = dataset(metaimage).samples()
    assert len({s.id for s in samples}) == len(samples) == 12
    facts = {s.id: (s.group, s.split, s.has_mask) for s in samples}
    assert facts[FIRST] == ("patient0001", "train", True)
    assert facts["testing_" + FIRST] == ("testing_patient0001", "test", False)
    assert samples[-1].meta["patient"] == "testing_patient0001"
    assert [path.name for path in samples[0].files] == [
        f"{FIRST}{suffix}" for suffix in (".mhd", ".raw", "_gt.mhd", "_gt.raw")
    ]


def test_metaimage_pixels(metaimage: Path) -> None:
    np.testing.assert_array_equal(image_of(metaimage), frame(1 + len("training")))
    np.testing.assert_array_equal(mask_of(metaimage), labels())
    data = dataset(metaimage)
    unlabelled = sample(data, "testing_" + FIRST)
    np.testing.assert_array_equal(data.read_image(unlabelled), frame(1 + len("testing")))
    assert data.read_mask(unlabelled) is None


def test_mask_of_a_metaimage_test_patient_is_read_where_present(metaimage: Path) -> None:
    folder = metaimage / "testing" / "patient0001"
    write_metaimage(folder / f"{FIRST}_gt.mhd", labels())
    np.testing.assert_array_equal(mask_of(metaimage, "testing_" + FIRST), labels())


def test_metaimage_default_split_is_by_folder(metaimage: Path) -> None:
    data = dataset(metaimage)
    split = make_split(data.samples(), data.config.split)
    assert Counter(split.values()) == {"train": 8, "test": 4}


def test_nifti_is_taken_where_both_releases_lie(nifti: Path) -> None:
    write_metaimage(nifti / "training" / "patient0001" / f"{FIRST}.mhd", frame(50))
    np.testing.assert_array_equal(image_of(nifti), frame(1))
    assert len(dataset(nifti).samples()) == 12


def first_of(metaimage: Path) -> Path:
    return metaimage / "training" / "patient0001" / f"{FIRST}.mhd"


def test_packed_metaimage(metaimage: Path) -> None:
    first_of(metaimage).with_suffix(".raw").unlink()
    write_metaimage(first_of(metaimage), frame(7), packed=True)
    assert sample(dataset(metaimage)).files[1].name == f"{FIRST}.zraw"
    np.testing.assert_array_equal(image_of(metaimage), frame(7))


@pytest.mark.parametrize(
    ("kind", "name", "msb"),
    [
        ("<u2", "MET_USHORT", "False"),
        (">i2", "MET_SHORT", "True"),
        ("<f4", "MET_FLOAT", "False"),
        (">f8", "MET_DOUBLE", "True"),
    ],
)
def test_metaimage_types_and_byte_orders(metaimage: Path, kind: str, name: str, msb: str) -> None:
    picture = frame(7).astype(kind)
    write_metaimage(first_of(metaimage), picture, ElementType=name, BinaryDataByteOrderMSB=msb)
    np.testing.assert_array_equal(image_of(metaimage), frame(7))


@pytest.mark.parametrize("size", ["4", "-1"])
def test_metaimage_header_in_the_data_file_is_passed_over(metaimage: Path, size: str) -> None:
    write_metaimage(first_of(metaimage), frame(7), HeaderSize=size)
    data = first_of(metaimage).with_suffix(".raw")
    data.write_bytes(b"head" + data.read_bytes())
    np.testing.assert_array_equal(image_of(metaimage), frame(7))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"DimSize": "14 9 3"}, "not one frame: its DimSize is 14 9 3"),
        ({"DimSize": "14"}, "not one frame"),
        ({"DimSize": "14 nine"}, "DimSize = '14 nine' must be whole numbers"),
        ({"DimSize": ""}, "has no DimSize"),
        ({"DimSize": "900 900 1"}, "holds 126 bytes of pixels, but .* 810000 bytes"),
        ({"DimSize": "14 8 1"}, "holds 126 bytes of pixels, but .* 112 bytes"),
        ({"DimSize": "0 9 1"}, "not one frame"),
        ({"ElementType": "MET_USHORT"}, "252 bytes"),
        ({"ElementType": "MET_OTHER"}, "ElementType is 'MET_OTHER'; known are"),
        ({"ElementNumberOfChannels": "3"}, "must be 1"),
        ({"BinaryData": "False"}, "data as text"),
        ({"ElementDataFile": "LOCAL"}, "must name one file"),
        ({"ElementDataFile": "../secret.raw"}, "must be a file beside it"),
        ({"ElementDataFile": "/etc/passwd"}, "must be a file beside it"),
        ({"ElementDataFile": "other.raw"}, r"cannot read .*other\.raw"),
        ({"CompressedData": "True"}, r"cannot unpack .*\.raw"),
    ],
)
def test_metaimage_header_that_cannot_be_followed(
    metaimage: Path, keys: dict[str, str], told: str
) -> None:
    write_metaimage(first_of(metaimage), frame(), **keys)
    with pytest.raises(DataError, match=told) as caught:
        image_of(metaimage)
    assert FIRST in str(caught.value) or "other.raw" in str(caught.value)


def test_truncated_metaimage_data(metaimage: Path) -> None:
    write_metaimage(first_of(metaimage), frame(), packed=True)
    for data in (first_of(metaimage).with_suffix(suffix) for suffix in (".zraw", ".raw")):
        whole = data.read_bytes()
        for length in range(0, len(whole), 9):
            data.write_bytes(whole[:length])
            with pytest.raises(DataError, match=FIRST):
                image_of(metaimage)
        write_metaimage(first_of(metaimage), frame())


def test_metaimage_data_that_unpack_to_more_than_announced(metaimage: Path) -> None:
    write_metaimage(first_of(metaimage), np.zeros((HEIGHT, WIDTH), np.uint8), packed=True)
    data = first_of(metaimage).with_suffix(".zraw")
    data.write_bytes(zlib.compress(bytes(10_000_000)))
    with pytest.raises(DataError, match=r"\.zraw holds 127 bytes of pixels, but"):
        image_of(metaimage)


def test_file_that_is_no_metaimage(metaimage: Path) -> None:
    first_of(metaimage).write_bytes(bytes(range(256)) * 9)
    with pytest.raises(DataError, match="no MetaImage header"):
        image_of(metaimage)


# --- Folders of something else


def test_missing_folder_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no folder .*/nowhere; read https://www"):
        dataset(tmp_path / "nowhere").samples()


@pytest.mark.parametrize("name", ["database_nifti/patient0001", "training", "BUSI/benign"])
def test_folder_of_another_release(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "benign (1).png").write_bytes(b"")
    with pytest.raises(DatasetNotFoundError, match="holds no frame of the chosen views and phases"):
        dataset(tmp_path).samples()


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_camus, ssl_registry_camus.config\n"
        "list(ssl_registry_camus.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'nibabel'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- The real release


@pytest.fixture(scope="module")
def camus(data_root: Path) -> CamusDataset:
    return dataset(data_root / "camus")


def every(samples: Sequence[Sample], step: int) -> Sequence[Sample]:
    """Some of the samples, of all views and phases alike: the step must be odd."""
    assert step % 2
    return samples[::step]


@pytest.mark.data
def test_real_release_lists_every_frame(camus: CamusDataset) -> None:
    samples = camus.samples()
    assert len(samples) == len({s.id for s in samples}) == 2000
    assert Counter(Counter(s.group for s in samples).values()) == {4: 500}
    kinds = Counter((s.meta["view"], s.meta["phase"]) for s in samples)
    assert kinds == {(v, p): 500 for v in ("2CH", "4CH") for p in ("ED", "ES")}
    assert all(s.has_mask and len(s.files) == 2 for s in samples)
    release = camus.info.release
    assert release is not None
    parts = Counter(f"split/{s.split}" for s in samples)
    assert release.totals == {"images": 2000, "masks": 2000, "groups": 500, **parts}


@pytest.mark.data
@pytest.mark.parametrize(
    ("recipe", "sizes"),
    [
        (SplitConfig(kind="official"), {"train": 1600, "val": 200, "test": 200}),
        (
            SplitConfig(kind="random", ratios=(9, 1, 0), group_by="group"),
            {"train": 1800, "val": 200},
        ),
    ],
)
def test_real_splits_keep_patients_together(
    camus: CamusDataset, recipe: SplitConfig, sizes: dict[str, int]
) -> None:
    samples = camus.samples()
    split = make_split(samples, recipe)
    assert Counter(split.values()) == sizes
    parts = defaultdict(set)
    for s in samples:
        parts[s.group].add(split[s.id])
    assert {len(found) for found in parts.values()} == {1}


@pytest.mark.data
def test_real_frames_stand_upright(camus: CamusDataset) -> None:
    """The sector's apex is at the top centre; all other edges' corners are dark."""
    for s in every(camus.samples(), 7):
        image = camus.read_image(s)
        height, width = image.shape
        centre = slice(3 * width // 8, 5 * width // 8)
        corner = width // 24
        assert image[: height // 20, centre].any(), s.id
        for side in (slice(None, corner), slice(-corner, None)):
            assert not image[: height // 4, side].any(), s.id
            assert not image[-height // 12 :, side].any(), s.id


@pytest.mark.data
def test_real_masks_show_the_ventricle_above_the_atrium(camus: CamusDataset) -> None:
    for s in every(camus.samples(), 7):
        mask = camus.read_mask(s)
        assert mask is not None
        assert set(np.unique(mask)) == {0, 1, 2, 3}, s.id
        ventricle, atrium = (np.argwhere(mask == k).mean(axis=0) for k in (1, 3))
        assert ventricle[0] < atrium[0], s.id
        # Transposed, it would be as much further to one side as it is now further down.
        assert abs(ventricle[1] - atrium[1]) < atrium[0] - ventricle[0], s.id


@pytest.mark.data
def test_real_pixels_are_what_nibabel_reads(camus: CamusDataset) -> None:
    for s in every(camus.samples(), 41):
        image, mask = (np.asarray(nibabel.load(path).dataobj).T for path in s.files)
        np.testing.assert_array_equal(camus.read_image(s), image)
        np.testing.assert_array_equal(camus.read_mask(s), mask)
