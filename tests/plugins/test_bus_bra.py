from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from ssl_registry import DataError, DatasetNotFoundError, Sample
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_bus_bra.config import BusBraConfig
from ssl_registry_bus_bra.dataset import BusBraDataset
from ssl_registry_bus_bra.sample import HEADER, HEIGHT, WIDTH, write_release

ROWS = (
    'bus_0001-l,1,Unknown,benign,2,GE Logiq 5,16,11,left,"[3, 2, 4, 3]"',
    'bus_0001-r,1,Fibroadenoma,benign,3,GE Logiq 5,16,11,right,"[3, 2, 4, 3]"',
    'bus_0002-s,2,"Carcinoma, ductal",malignant,5,Toshiba,16,11,single,"[3, 2, 4, 3]"',
    'bus_0010-r,10,,malignant,4,,16,11,right,"[3, 2, 4, 3]"',
)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def lesion() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:5, 3:7] = 255
    return mask


def save(path: Path, array: np.ndarray, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(array).convert(mode).save(path)


def write_table(root: Path, *rows: str, header: str = HEADER, encoding: str = "utf-8") -> None:
    path = root / "BUSBRA" / "bus_data.csv"
    path.write_text("\r\n".join((header, *rows, "")), encoding=encoding, newline="")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tiny release: two images of case 1, one of case 2, one of case 10."""
    write_release(tmp_path, 0, ROWS)
    (tmp_path / "BUSBRA" / "5-fold-cv.csv").write_text("ID,Case\n")
    return tmp_path


def dataset(root: Path, **settings: Any) -> BusBraDataset:
    return BusBraDataset(BusBraConfig(root=root, **settings))


def first(data: BusBraDataset) -> Sample:
    return data.samples()[0]


def image_path(root: Path, name: str = "0001-l") -> Path:
    return root / "BUSBRA" / "Images" / f"bus_{name}.png"


def mask_path(root: Path, name: str = "0001-l") -> Path:
    return root / "BUSBRA" / "Masks" / f"mask_{name}.png"


def test_samples_are_sorted_and_told_by_the_table(release: Path) -> None:
    samples = dataset(release).samples()
    assert [(s.id, s.group, s.label) for s in samples] == [
        ("bus_0001-l", "1", "benign"),
        ("bus_0001-r", "1", "benign"),
        ("bus_0002-s", "2", "malignant"),
        ("bus_0010-r", "10", "malignant"),
    ]
    assert [path.name for path in samples[2].files] == ["bus_0002-s.png", "mask_0002-s.png"]
    assert all(s.has_mask and s.split is None for s in samples)
    assert samples[2].meta == {
        "organ": "breast",
        "histology": "Carcinoma, ductal",
        "birads": "5",
        "device": "Toshiba",
        "side": "single",
    }
    assert samples[3].meta == {"organ": "breast", "birads": "4", "side": "right"}


def test_root_may_be_the_folder_above_or_the_release_itself(release: Path) -> None:
    assert dataset(release).samples() == dataset(release / "BUSBRA").samples()


def test_component_is_found_and_created_by_name(release: Path) -> None:
    data = factory("dataset", "bus_bra")(config_model("dataset", "bus_bra")(root=release))
    assert data.samples()[0].id == "bus_0001-l"
    assert data.info.classes == ("lesion",)
    assert data.info.lesion_free_label is None


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_image_is_the_same_in_every_colour_mode(release: Path, mode: str) -> None:
    save(image_path(release), picture(0), mode)
    data = dataset(release)
    image = data.read_image(first(data))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, picture(0))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
def test_mask_is_the_same_in_every_colour_mode(release: Path, mode: str) -> None:
    save(mask_path(release), lesion(), mode)
    data = dataset(release)
    mask = data.read_mask(first(data))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, lesion() // 255)


def test_upper_case_suffixes(release: Path) -> None:
    for path in (image_path(release), mask_path(release)):
        path.rename(path.with_suffix(".PNG"))
    data = dataset(release)
    np.testing.assert_array_equal(data.read_image(first(data)), picture(0))
    np.testing.assert_array_equal(data.read_mask(first(data)), lesion() // 255)


def test_columns_in_another_order_and_only_the_needed_ones(release: Path) -> None:
    rows = [f"{row.split(',')[0]}, benign ,{row.split(',')[1]},new" for row in ROWS]
    write_table(release, *rows, "", ",,,", header="ID,Pathology,case,Extra", encoding="utf-8-sig")
    samples = dataset(release).samples()
    assert [(s.group, s.label) for s in samples] == [
        ("1", "benign"),
        ("1", "benign"),
        ("2", "benign"),
        ("10", "benign"),
    ]
    assert samples[0].meta == {"organ": "breast"}


@pytest.mark.parametrize("column", ["ID", "Case", "Pathology"])
def test_missing_column_is_named(release: Path, column: str) -> None:
    write_table(release, *ROWS, header=HEADER.replace(column, "Other", 1))
    with pytest.raises(DataError, match=rf"bus_data\.csv must have one column {column}, but"):
        dataset(release).samples()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("bus_0001-l,1,x,benign,2", "line 3: the ID bus_0001-l has a row already"),
        ("bus_0003-l,3,x,normal,2", "line 3: the Pathology is 'normal', but must be benign or"),
        ("bus_0003-l,3", "line 3: the Pathology is ''"),
        ("bus_0003-l, ,x,benign,2", "line 3: the column Case is empty"),
        ("../secret,3,x,benign,2", "line 3: the ID is '../secret', but must be such as bus_0001-l"),
        ('bus_0003-l,"3,x,benign,2', "cannot read .*bus_data.csv"),
    ],
)
def test_row_that_cannot_be_used_is_named(release: Path, row: str, told: str) -> None:
    write_table(release, ROWS[0], row)
    with pytest.raises(DataError, match=told):
        dataset(release).samples()


def test_table_of_another_encoding_and_empty_table(release: Path) -> None:
    write_table(release, ROWS[0].replace("Unknown", "é"), encoding="latin-1")
    with pytest.raises(DataError, match=r"cannot read .*bus_data\.csv.*utf-8"):
        dataset(release).samples()
    (release / "BUSBRA" / "bus_data.csv").write_bytes(b"")
    with pytest.raises(DataError, match="its first line has none"):
        dataset(release).samples()


def test_row_without_its_image(release: Path) -> None:
    image_path(release, "0002-s").unlink()
    with pytest.raises(DataError, match=r"1 of the 4 images .* missing .* bus_0002-s\.png"):
        dataset(release).samples()
    skipped = dataset(release, skip_unreadable=True).samples()
    assert [s.id for s in skipped] == ["bus_0001-l", "bus_0001-r", "bus_0010-r"]


def test_image_without_its_row(release: Path) -> None:
    write_table(release, *ROWS[:3])
    with pytest.raises(DataError, match=r"1 of the images have no row .*bus_0010-r\.png"):
        dataset(release).samples()
    assert len(dataset(release, skip_unreadable=True).samples()) == 3


def test_image_without_a_mask_can_be_read_but_its_mask_cannot(release: Path) -> None:
    mask_path(release).unlink()
    data = dataset(release)
    assert data.read_image(first(data)).shape == (HEIGHT, WIDTH)
    with pytest.raises(DataError, match=r"bus_0001-l\.png has no mask Masks/mask_0001-l\.png"):
        data.read_mask(first(data))


def test_mask_of_another_size_names_the_file_and_both_sizes(release: Path) -> None:
    save(mask_path(release), lesion()[:, :-1])
    data = dataset(release)
    told = r"mask_0001-l\.png is 15x11 pixels, but its image bus_0001-l\.png is 16x11"
    with pytest.raises(DataError, match=told):
        data.read_mask(first(data))
    data.read_image(first(data))
    with pytest.raises(DataError, match=told):
        data.read_mask(first(data))


def test_damaged_files_never_give_anything_but_a_data_error(release: Path) -> None:
    data = dataset(release)
    target = first(data)
    draw = random.Random(0)
    for path, read in zip(target.files, (data.read_image, data.read_mask), strict=True):
        whole = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[draw.randrange(len(whole))] ^= draw.randrange(1, 256)
            path.write_bytes(damaged[: draw.choice((len(whole), draw.randrange(len(whole))))])
            try:
                assert read(target).dtype == np.uint8
            except DataError as error:
                assert path.name in str(error)
        path.write_bytes(whole)


def test_foreign_files_are_passed_over(release: Path) -> None:
    before = dataset(release).samples()
    for name in ("Thumbs.db", "._bus_0001-l.png", "copy.png", "bus_0009-l.txt"):
        (release / "BUSBRA" / "Images" / name).write_bytes(b"")
    assert dataset(release).samples() == before


def test_listing_opens_no_image(release: Path) -> None:
    for path in release.rglob("*.png"):
        path.write_bytes(b"")
    assert len(dataset(release).samples()) == 4


def test_default_split_is_stratified_and_keeps_cases_together(tmp_path: Path) -> None:
    """100 cases of one or two images, a third of them malignant."""
    rows = []
    for case in range(1, 101):
        for side in "lr"[: 1 + case % 2]:
            label = "malignant" if case % 3 == 0 else "benign"
            rows.append(f"bus_{case:04d}-{side},{case},x,{label},3,x,1,1,left,x")
            image = tmp_path / "BUSBRA" / "Images" / f"bus_{case:04d}-{side}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(b"")
    write_table(tmp_path, *rows)
    data = dataset(tmp_path)
    samples = data.samples()
    split = make_split(samples, data.config.split)
    parts = defaultdict(set)
    for s in samples:
        parts[s.group].add(split[s.id])
    assert {len(found) for found in parts.values()} == {1}
    for label, count in Counter(s.label for s in samples).items():
        sizes = Counter(split[s.id] for s in samples if s.label == label)
        for part, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
            assert abs(sizes[part] - share * count) <= 2, (label, part)


def test_missing_folder_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetNotFoundError, match=r"no folder .*/nowhere; fetch them with .* download bus_bra"
    ):
        dataset(tmp_path / "nowhere").samples()


def test_folder_of_another_release(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"nor its BUSBRA holds bus_data\.csv"):
        dataset(tmp_path).samples()
    (tmp_path / "BUSBRA").mkdir()
    write_table(tmp_path, *ROWS)
    with pytest.raises(DatasetNotFoundError, match=r"no image such as Images/bus_0001-l\.png"):
        dataset(tmp_path).samples()


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_bus_bra, ssl_registry_bus_bra.config\n"
        "list(ssl_registry_bus_bra.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
