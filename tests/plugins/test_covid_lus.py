from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as PillowImage
from pydantic import ValidationError

from ssl_registry import DataError, DatasetNotFoundError, Sample
from ssl_registry.data.cache import CacheSettings, open_cache
from ssl_registry.data.splits import make_split
from ssl_registry.registry import config_model, factory
from ssl_registry_covid_lus import dataset as dataset_module
from ssl_registry_covid_lus.config import CovidLusConfig
from ssl_registry_covid_lus.dataset import CovidLusDataset
from ssl_registry_covid_lus.selection import evenly_spread, sampled

HEIGHT, WIDTH, BITS = 48, 128, 8
FRAMES, RATE = 40, 25
DARK, BRIGHT = 40, 215

# Suffix, container, codec, pixel format.
VIDEOS = {
    "h264": (".mp4", "mp4", "libx264", "yuv420p"),
    "h264_444": (".mp4", "mp4", "libx264", "yuv444p"),
    "upper": (".MP4", "mp4", "mpeg4", "yuv420p"),
    "mov": (".mov", "mov", "libx264", "yuv420p"),
    "avi": (".avi", "avi", "mpeg4", "yuv420p"),
    "msmpeg4": (".AVI", "avi", "msmpeg4", "yuv420p"),
    "misnamed": (".avi", "mp4", "libx264", "yuv420p"),
    "mpeg1": (".mpeg", "mpeg", "mpeg1video", "yuv420p"),
    "mpeg2": (".MPG", "mpeg", "mpeg2video", "yuv420p"),
    "gif": (".gif", "gif", "gif", "gray"),
}
COLUMNS = (
    "Date added",
    "Current location",
    "Filename",
    "URL (Video Name)",
    "Label",
    "License",
    "Comments from web site",
    "Patient ID / Name",
)


def numbered(number: int) -> np.ndarray:
    """A picture of stripes, bright where the number has a bit; survives lossy coding."""
    bits = [BRIGHT if number >> bit & 1 else DARK for bit in range(BITS)]
    return np.tile(np.repeat(np.array(bits, np.uint8), WIDTH // BITS), (HEIGHT, 1))


def number_of(image: np.ndarray) -> int:
    """The number that a picture shows; fails unless it is plainly one of them."""
    assert image.dtype == np.uint8
    assert image.shape == (HEIGHT, WIDTH)
    stripes = image.reshape(HEIGHT, BITS, WIDTH // BITS)[4:-4, :, 4:-4].astype(float)
    means = stripes.mean((0, 2))
    assert all(min(abs(mean - DARK), abs(mean - BRIGHT)) < 25 for mean in means), means
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 128)


def write_video(path: Path, kind: str = "h264", frames: int = FRAMES, **options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, container_format, codec, pixels = VIDEOS[kind]
    with av.open(str(path), "w", format=container_format, options=options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.thread_count = 1
        if codec != "gif":
            stream.bit_rate = 4_000_000
        container.start_encoding()
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="gray")
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode())
    return path


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(array).save(path)
    return path


def write_metadata(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "dataset_metadata.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tiny release with every oddity of names, and its metadata."""
    videos, images = tmp_path / "pocus_videos", tmp_path / "pocus_images"
    write_video(videos / "convex" / "Cov-Atlas-Day+1.gif", "gif")
    write_video(videos / "convex" / "pneu-radio (2).MP4", "upper")
    write_video(videos / "convex" / "Reg_pat1Image_1.mpeg", "mpeg2")
    write_video(videos / "convex" / "Vir_case.avi", "avi")
    write_video(videos / "linear" / "REG-pat1_2.mov", "mov")
    write_video(videos / "linear" / "label_uncertain" / "Vir_or_Pneu_file4.mp4")
    write_video(videos / "linear" / "uninformative_1.mp4")
    save(images / "convex" / "Cov_fig1.png", numbered(3))
    save(images / "linear" / "Pneu_img.JPG", numbered(5))
    (videos / "convex" / "Reg_notes.txt").write_text("not a recording")
    write_metadata(
        tmp_path,
        {
            "Current location": "data/pocus_videos/Convex",
            "Filename": "Cov-Atlas-Day+1",
            "URL (Video Name)": "http://atlas.example/covid\n(Day1) ",
            "License": "CC BY-NC -SA 4.0",
            "Comments from web site": 'Pleural findings,\n"B lines"\n',
            "Patient ID / Name": "35",
        },
        {
            "Current location": "pocus_videos/convex",
            "Filename": "Reg_pat1Image_1 ",
            "URL (Video Name)": "charlotte",
            "License": "CC BY 4.0",
            "Patient ID / Name": " 4",
        },
        {
            "Current location": "pocus_videos/linear",
            "Filename": "REG-pat1_2",
            "License": "None",
            "Patient ID / Name": "4",
        },
        {"Current location": "not used", "Filename": "vir_case", "Patient ID / Name": "n/A"},
    )
    return tmp_path


def dataset(root: Path, **settings: Any) -> CovidLusDataset:
    return CovidLusDataset(CovidLusConfig(root=root, **settings))


def alone(tmp_path: Path, kind: str, frames: int = FRAMES, **options: str) -> Path:
    """The only video of a release in `tmp_path`, without metadata."""
    path = tmp_path / "pocus_videos" / "convex" / f"Cov_one{VIDEOS[kind][0]}"
    return write_video(path, kind, frames, **options)


def by_id(data: CovidLusDataset) -> dict[str, Sample]:
    return {sample.id: sample for sample in data.samples()}


def test_samples_in_order_with_labels_from_prefixes_of_any_case(release: Path) -> None:
    samples = dataset(release).samples()
    assert [(s.id, s.label) for s in samples] == [
        ("convex/Cov_fig1", "covid"),
        ("convex/Cov-Atlas-Day+1", "covid"),
        ("convex/Reg_pat1Image_1", "regular"),
        ("convex/Vir_case", "viral"),
        ("convex/pneu-radio (2)", "pneumonia"),
        ("linear/Pneu_img", "pneumonia"),
        ("linear/REG-pat1_2", "regular"),
    ]
    assert all(s.split is None and not s.has_mask and len(s.files) == 1 for s in samples)


def test_metadata_reach_the_samples(release: Path) -> None:
    samples = by_id(dataset(release))
    assert samples["convex/Cov-Atlas-Day+1"].meta == {
        "organ": "lung",
        "probe": "convex",
        "recording": "video",
        "patient": "35",
        "licence": "CC BY-NC-SA 4.0",
        "source": "http://atlas.example/covid (Day1)",
    }
    assert samples["linear/REG-pat1_2"].meta == {
        "organ": "lung",
        "probe": "linear",
        "recording": "video",
        "patient": "4",
    }
    # A row that names nothing, and no row at all.
    assert set(samples["convex/Vir_case"].meta) == {"organ", "probe", "recording"}
    assert samples["linear/Pneu_img"].meta["recording"] == "image"


def test_groups_are_patients_where_known_else_recordings(release: Path) -> None:
    groups = {s.id: s.group for s in dataset(release).samples()}
    assert groups.pop("convex/Reg_pat1Image_1") == groups.pop("linear/REG-pat1_2") == "patient 4"
    assert groups.pop("convex/Cov-Atlas-Day+1") == "patient 35"
    assert groups == {name: name for name in groups}
    recordings = dataset(release, group="recording").samples()
    assert all(s.group == s.id for s in recordings)


def test_frames_of_one_recording_share_its_group(release: Path) -> None:
    samples = dataset(release, group="recording", frames_per_recording=3).samples()
    assert Counter(s.group for s in samples) == {
        "convex/Cov_fig1": 1,
        "convex/Cov-Atlas-Day+1": 3,
        "convex/Reg_pat1Image_1": 3,
        "convex/Vir_case": 3,
        "convex/pneu-radio (2)": 3,
        "linear/Pneu_img": 1,
        "linear/REG-pat1_2": 3,
    }


def test_name_in_two_folders_takes_the_row_of_its_folder(tmp_path: Path) -> None:
    for probe in ("convex", "linear"):
        save(tmp_path / "pocus_images" / probe / "Reg_a.png", numbered(1))
    write_metadata(
        tmp_path,
        *(
            {
                "Current location": f"data/pocus_images/{probe}",
                "Filename": "Reg_a",
                "Patient ID / Name": patient,
            }
            for probe, patient in (("Linear", "1"), ("Convex", "2"))
        ),
    )
    patients = {s.id: s.meta["patient"] for s in dataset(tmp_path).samples()}
    assert patients == {"convex/Reg_a": "2", "linear/Reg_a": "1"}


def test_names_that_differ_in_their_suffix_only_keep_it(tmp_path: Path) -> None:
    save(tmp_path / "pocus_images" / "convex" / "Reg_a.png", numbered(1))
    save(tmp_path / "pocus_images" / "convex" / "Reg_a.jpg", numbered(2))
    save(tmp_path / "pocus_images" / "linear" / "Reg_a.png", numbered(3))
    data = dataset(tmp_path, group="recording")
    found = {s.id: number_of(data.read_image(s)) for s in data.samples()}
    assert found == {"convex/Reg_a.jpg": 2, "convex/Reg_a.png": 1, "linear/Reg_a": 3}


def test_probes_and_kinds_can_be_chosen(release: Path) -> None:
    linear = dataset(release, probes=("linear",)).samples()
    assert [s.id for s in linear] == ["linear/Pneu_img", "linear/REG-pat1_2"]
    images = dataset(release, recordings=("image",)).samples()
    assert [s.id for s in images] == ["convex/Cov_fig1", "linear/Pneu_img"]


def test_root_may_be_the_repository_or_the_folder_that_an_archive_was_unpacked_to(
    release: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = [s.id for s in dataset(release).samples()]
    for place in ("data", "covid19_ultrasound-5ab134e/data"):
        root = tmp_path_factory.mktemp("above")
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).symlink_to(release)
        assert [s.id for s in dataset(root).samples()] == expected


def test_component_is_found_and_created_by_name(release: Path) -> None:
    data = factory("dataset", "covid_lus")(config_model("dataset", "covid_lus")(root=release))
    assert len(data.samples()) == 7
    assert (data.info.organ, data.info.channels, data.info.classes) == ("lung", 1, ())


@pytest.mark.parametrize("kind", VIDEOS)
def test_one_frame_is_the_middle_one(tmp_path: Path, kind: str) -> None:
    alone(tmp_path, kind, frames=21)
    data = dataset(tmp_path, group="recording")
    (sample,) = data.samples()
    assert sample.id == "convex/Cov_one"
    assert number_of(data.read_image(sample)) == 10


@pytest.mark.parametrize("kind", VIDEOS)
def test_every_frame_is_exact_in_any_order(tmp_path: Path, kind: str) -> None:
    alone(tmp_path, kind)
    data = dataset(tmp_path, group="recording", frames_per_recording=FRAMES)
    samples = list(data.samples())
    assert [s.id for s in samples] == [f"convex/Cov_one#{n}" for n in range(FRAMES)]
    for order in (samples, samples[::-1], samples[::7]):
        for sample in order:
            assert sample.id == f"convex/Cov_one#{number_of(data.read_image(sample))}"


def test_frames_are_the_middles_of_equal_stretches(tmp_path: Path) -> None:
    alone(tmp_path, "h264", frames=20)
    data = dataset(tmp_path, group="recording", frames_per_recording=4)
    assert [number_of(data.read_image(s)) for s in data.samples()] == [2, 7, 12, 17]


def test_short_video_gives_each_frame_once(tmp_path: Path) -> None:
    alone(tmp_path, "mpeg2", frames=3)
    data = dataset(tmp_path, group="recording", frames_per_recording=10**9)
    assert [number_of(data.read_image(s)) for s in data.samples()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(5, [2, 7, 12, 17]), (10, [1, 3, 6, 8, 11, 13, 16, 18]), (100, list(range(20))), (0.5, [10])],
)
@pytest.mark.parametrize("kind", ["h264", "avi", "mpeg2", "gif"])
def test_frame_rate(tmp_path: Path, kind: str, rate: float, expected: list[int]) -> None:
    alone(tmp_path, kind, frames=20)
    data = dataset(tmp_path, group="recording", frame_rate=rate)
    assert [number_of(data.read_image(s)) for s in data.samples()] == expected


def test_selection_against_a_slow_rule() -> None:
    for frames in range(1, 40):
        for wanted in range(1, frames + 1):
            # The frame in whose time the middle of each stretch lies.
            middles = [(Fraction(i) + Fraction(1, 2)) * frames / wanted for i in range(wanted)]
            expected = [next(f for f in range(frames) if f <= m < f + 1) for m in middles]
            assert list(evenly_spread(frames, wanted)) == expected
        chosen = sampled(frames, Fraction(24000, 1001), 2.0)
        times = [Fraction(1001, 24000) * frame for frame in chosen]
        assert all(abs(b - a - Fraction(1, 2)) < Fraction(1, 20) for a, b in pairwise(times))


def test_threads_read_the_same_pixels_as_one(release: Path) -> None:
    for settings in ({}, {"frames_per_recording": 6}):
        data = dataset(release, **settings)
        samples = data.samples()
        one_by_one = [data.read_image(sample) for sample in samples]
        with ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(data.read_image, list(samples) * 3))
        for expected, found in zip(one_by_one * 3, at_once, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_neighbouring_frames_decode_their_video_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(tmp_path, "h264")
    passes: list[int] = []
    original = dataset_module.read_frames

    def counted(*arguments: Any) -> Any:
        found = original(*arguments)
        passes.append(len(found))
        return found

    monkeypatch.setattr(dataset_module, "read_frames", counted)
    data = dataset(tmp_path, group="recording", frames_per_recording=10)
    for sample in data.samples():
        data.read_image(sample)
    assert passes == [10]
    # No more is kept than allowed, and what is not kept is decoded again.
    passes.clear()
    monkeypatch.setattr(CovidLusDataset, "kept_bytes", 4 * HEIGHT * WIDTH)
    data = dataset(tmp_path, group="recording", frames_per_recording=10)
    found = [number_of(data.read_image(sample)) for sample in data.samples()]
    assert found == [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]
    assert passes == [4, 4, 2]


def test_one_frame_per_recording_opens_no_video_to_list(release: Path) -> None:
    expected = dataset(release).samples()
    for path in release.rglob("*"):
        if path.suffix.lower() in {".mp4", ".gif", ".mpeg", ".avi", ".mov", ".png", ".jpg"}:
            path.write_bytes(b"")
    assert dataset(release).samples() == expected


def test_colour_is_read_as_luma(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    save(tmp_path / "pocus_images" / "convex" / "Reg_a.png", colour)
    frame = PillowImage.fromarray(np.full((HEIGHT, WIDTH, 3), (200, 40, 90), np.uint8))
    folder = tmp_path / "pocus_videos" / "convex"
    folder.mkdir(parents=True)
    frame.save(folder / "Cov_b.gif")
    data = dataset(tmp_path, group="recording")
    image, animation = (data.read_image(s) for s in data.samples())
    # ITU-R 601-2 luma.
    np.testing.assert_allclose(image, colour @ np.array([0.299, 0.587, 0.114]), atol=1)
    np.testing.assert_allclose(animation, 0.299 * 200 + 0.587 * 40 + 0.114 * 90, atol=2)


def test_limited_range_video_is_stretched_to_black_and_white(tmp_path: Path) -> None:
    path = tmp_path / "pocus_videos" / "convex" / "Cov_a.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for level in (0, 128, 255):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = dataset(tmp_path, group="recording", frames_per_recording=3)
    means = [data.read_image(s).mean() for s in data.samples()]
    np.testing.assert_allclose(means, [0, 128, 255], atol=2)


def test_gif_whose_frames_cover_a_part_only(tmp_path: Path) -> None:
    path = tmp_path / "pocus_videos" / "convex" / "Cov_a.gif"
    path.parent.mkdir(parents=True)
    first = PillowImage.new("RGBA", (20, 16), (0, 0, 0, 0))
    first.paste((200, 200, 200, 255), (0, 0, 10, 16))
    second = PillowImage.new("RGBA", (20, 16), (0, 0, 0, 0))
    second.paste((90, 90, 90, 255), (5, 4, 15, 12))
    first.save(path, save_all=True, append_images=[second], disposal=1, duration=100)
    data = dataset(tmp_path, group="recording", frames_per_recording=2)
    before, after = (data.read_image(s) for s in data.samples())
    expected = np.zeros((16, 20), np.uint8)
    expected[:, :10] = 200
    np.testing.assert_array_equal(before, expected)
    expected[4:12, 5:15] = 90
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("kind", VIDEOS)
def test_cut_off_video_gives_the_right_frame_or_an_error_that_names_it(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = alone(tmp_path, kind)
    data = dataset(tmp_path, group="recording")
    (sample,) = data.samples()
    whole = path.read_bytes()
    wrong = 0
    for share in (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            image = dataset(tmp_path, group="recording").read_image(sample)
        except DataError as error:
            wrong += 1
            assert str(path) in str(error)
        else:
            # Nothing shows that an mpeg was cut between frames: it is a shorter video.
            shorter = range(FRAMES // 2 + 1) if kind in ("mpeg1", "mpeg2") else (FRAMES // 2,)
            assert number_of(image) in shorter
    assert wrong >= 4
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", VIDEOS)
@pytest.mark.parametrize("settings", [{}, {"frames_per_recording": 4}, {"frame_rate": 3}])
def test_damaged_video_never_gives_anything_but_a_data_error(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    path = alone(tmp_path, kind)
    whole = path.read_bytes()
    draw = random.Random(0)
    for number in range(15):
        damaged = bytearray(whole)
        for _ in range(1 + number):
            damaged[draw.randrange(draw.choice((300, len(whole))))] = draw.randrange(256)
        path.write_bytes(damaged)
        data = dataset(tmp_path, group="recording", **settings)
        for sample in data.samples():
            try:
                assert data.read_image(sample).dtype == np.uint8
            except DataError as error:
                assert str(path) in str(error)


def test_video_shorter_than_it_states(tmp_path: Path) -> None:
    path = alone(tmp_path, "avi")
    whole = path.read_bytes()
    # The number of frames in the main header and in that of the stream.
    stated = FRAMES.to_bytes(4, "little")
    longer = (10 * FRAMES).to_bytes(4, "little")
    path.write_bytes(whole[:200].replace(stated, longer) + whole[200:])
    data = dataset(tmp_path, group="recording")
    with pytest.raises(DataError, match=r"Cov_one\.avi ends after 40 frames, before frame 200"):
        data.read_image(data.samples()[0])


def test_absurd_length_in_a_damaged_header_is_not_believed(tmp_path: Path) -> None:
    path = alone(tmp_path, "avi")
    whole = path.read_bytes()
    stated, absurd = FRAMES.to_bytes(4, "little"), (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(whole[:200].replace(stated, absurd) + whole[200:])
    data = dataset(tmp_path, group="recording", frame_rate=5)
    assert [number_of(data.read_image(s)) for s in data.samples()] == list(range(2, FRAMES, 5))


def test_damage_after_a_frame_does_not_hurt_it(tmp_path: Path) -> None:
    path = alone(tmp_path, "h264", movflags="faststart")
    whole = path.read_bytes()
    start = whole.index(b"mdat")
    path.write_bytes(whole[: start + (len(whole) - start) * 6 // 10])
    data = dataset(tmp_path, group="recording", frames_per_recording=2)
    first, second = data.samples()
    assert (first.meta["frame"], second.meta["frame"]) == ("10", "30")
    assert number_of(data.read_image(first)) == 10
    with pytest.raises(DataError, match=r"Cov_one\.mp4"):
        data.read_image(second)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Cov_text.mp4", b"hello world\n" * 100),
        ("Cov_empty.mp4", b""),
        ("Cov_list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nCov_other.mp4\n"),
        ("Cov_list.avi", b"ffconcat version 1.0\nfile 'Cov_other.mp4'\n"),
        ("Cov_text.gif", b"no animation"),
        ("Cov_text.mpeg", b"no video"),
    ],
)
def test_file_that_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    write_video(tmp_path / "pocus_videos" / "convex" / "Cov_other.mp4")
    path = tmp_path / "pocus_videos" / "convex" / name
    path.write_bytes(content)
    for settings in ({}, {"frames_per_recording": 4}, {"frame_rate": 2}):
        data = dataset(tmp_path, group="recording", **settings)
        sample = by_id(data)[f"convex/{path.stem}"]
        with pytest.raises(DataError, match=re.escape(str(path))):
            data.read_image(sample)


def test_container_without_a_video(tmp_path: Path) -> None:
    path = tmp_path / "pocus_videos" / "convex" / "Cov_sound.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    data = dataset(tmp_path, group="recording")
    with pytest.raises(DataError, match=r"Cov_sound\.mp4 holds no video"):
        data.read_image(data.samples()[0])


def test_video_without_frames(tmp_path: Path) -> None:
    path = alone(tmp_path, "avi", frames=0)
    data = dataset(tmp_path, group="recording")
    with pytest.raises(DataError, match=re.escape(str(path))):
        data.read_image(data.samples()[0])


def test_file_that_vanishes_after_the_listing(tmp_path: Path) -> None:
    path = alone(tmp_path, "avi")
    data = dataset(tmp_path, group="recording")
    (sample,) = data.samples()
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read the video .*Cov_one\.avi"):
        data.read_image(sample)


@pytest.mark.parametrize("frames", [1, 4])
def test_unreadable_recordings_are_left_out_only_if_that_is_asked_for(
    tmp_path: Path, frames: int
) -> None:
    alone(tmp_path, "h264")
    broken = tmp_path / "pocus_videos" / "convex" / "Reg_broken.mp4"
    broken.write_bytes(b"hello")
    settings = {"group": "recording", "frames_per_recording": frames}
    strict = dataset(tmp_path, **settings)
    with pytest.raises(DataError, match=r"Reg_broken\.mp4"):
        open_cache(strict, strict.samples(), CacheSettings(16, 1, False))
    lenient = dataset(tmp_path, skip_unreadable=True, **settings)
    samples = lenient.samples()
    cache = open_cache(lenient, samples, CacheSettings(16, 1, False))
    assert {samples[place].id for place in cache.unreadable} == {"convex/Reg_broken"}
    assert len(samples) == frames + 1


def test_missing_folder_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no folder .*/nowhere; fetch them with"):
        dataset(tmp_path / "nowhere").samples()


def test_folder_of_another_release(tmp_path: Path) -> None:
    (tmp_path / "benign").mkdir()
    with pytest.raises(DatasetNotFoundError, match="holds pocus_images or pocus_videos"):
        dataset(tmp_path).samples()
    (tmp_path / "pocus_videos" / "convex").mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match=r"holds no dataset_metadata\.csv"):
        dataset(tmp_path).samples()
    write_metadata(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="holds no recording such as"):
        dataset(tmp_path).samples()


def test_damaged_metadata_name_file_and_line(release: Path) -> None:
    path = release / "dataset_metadata.csv"
    whole = path.read_text()
    damaged = {
        rf"{path}, line 1: the table lacks the columns 'Filename'": whole.replace("Filename", "F"),
        # The fourth record of the table begins after two cells of several lines.
        rf"{path}, line 8: a row of 9 cells under a header of 8": whole.replace(
            "not used,", "not used,,"
        ),
        rf"{path}, line \d+: unexpected end of data": whole + '20.04.20,"',
        rf"{path}, line 1: the table lacks": "",
    }
    for message, text in damaged.items():
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            dataset(release).samples()
    path.write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(DataError, match=r"dataset_metadata\.csv, line"):
        dataset(release).samples()


def test_metadata_with_a_byte_order_mark_other_columns_and_damaged_comments(release: Path) -> None:
    path = release / "dataset_metadata.csv"
    expected = dataset(release).samples()
    text = path.read_text().replace("B lines", "B lines \udc80")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode(errors="surrogateescape"))
    assert dataset(release).samples() == expected


def test_settings_exclude_each_other_and_survive_a_round_trip() -> None:
    with pytest.raises(ValidationError, match="frames_per_recording or frame_rate, not both"):
        CovidLusConfig(frames_per_recording=2, frame_rate=1.0)
    for wrong in ({"probes": ()}, {"probes": ("convex", "convex")}, {"frame_rate": 0}):
        with pytest.raises(ValidationError):
            CovidLusConfig(**wrong)
    for settings in ({"frame_rate": 2.5}, {"frames_per_recording": 3}, {}):
        config = CovidLusConfig(**settings)
        assert CovidLusConfig.model_validate_json(config.model_dump_json()) == config


def test_declaring_and_configuring_imports_nothing_heavy() -> None:
    code = (
        "import sys, ssl_registry_covid_lus, ssl_registry_covid_lus.config\n"
        "list(ssl_registry_covid_lus.ssl_registry_components())\n"
        "heavy = {'torch', 'timm', 'kornia', 'numpy', 'scipy', 'PIL', 'av'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def real(data_root: Path) -> CovidLusDataset:
    return dataset(data_root / "covid_lus")


@pytest.mark.data
def test_real_release_against_an_independent_listing(real: CovidLusDataset) -> None:
    names = {"cov": "covid", "pneu": "pneumonia", "reg": "regular", "vir": "viral"}
    expected = {
        f"{path.parent.name}/{path.stem}": names[re.split("[-_]", path.name)[0].lower()]
        for path in real.root.glob("pocus_*/*/*.*")
    }
    samples = real.samples()
    assert {s.id: s.label for s in samples} == expected
    assert len(samples) == len(expected)
    assert not any("Vir_or_Pneu" in s.id for s in samples)
    assert not any("label_uncertain" in str(s.files[0]) for s in samples)


@pytest.mark.data
def test_real_metadata(real: CovidLusDataset) -> None:
    samples = by_id(real)
    with (real.root / "dataset_metadata.csv").open(newline="") as file:
        table = {row["Filename"].strip(): row for row in csv.DictReader(file)}
    for name, sample in samples.items():
        row = table[name.partition("/")[2]]
        assert sample.meta["patient"] == row["Patient ID / Name"].strip()
        assert sample.group == f"patient {sample.meta['patient']}"
        said = {"covid": "COVID-19", "pneumonia": "Bacterial pneumonia", "regular": "regular"}
        assert row["Label"] == said.get(sample.label or "", "Viral pneumonia")
    # The recordings of each volunteer stay together.
    groups = {
        re.findall(r"pat\d", name)[0]: s.group for name, s in samples.items() if "Reg_pat" in name
    }
    for name, sample in samples.items():
        if "Reg_pat" in name:
            assert sample.group == groups[re.findall(r"pat\d", name)[0]]
    assert len(set(groups.values())) == len(groups) == 4


@pytest.mark.data
def test_real_recordings_are_all_readable(
    real: CovidLusDataset, capfd: pytest.CaptureFixture[str]
) -> None:
    samples = real.samples()
    read = Counter()
    for sample in samples:
        image = real.read_image(sample)
        assert image.dtype == np.uint8
        assert image.ndim == 2
        assert min(image.shape) > 100
        assert image.std() > 10, sample.id  # neither black nor one colour
        read[sample.files[0].suffix] += 1
    assert {".mp4", ".MP4", ".avi", ".mpeg", ".mov", ".gif", ".jpg", ".JPG", ".png"} <= set(read)
    assert sum(read.values()) == len(samples)
    assert capfd.readouterr().err == ""


@pytest.mark.data
def test_real_frames_against_a_plain_decoding(real: CovidLusDataset) -> None:
    videos = {s.files[0].suffix: s for s in real.samples() if s.meta["recording"] == "video"}
    for sample in videos.values():
        with av.open(str(sample.files[0])) as container:
            pictures = [frame.to_image() for frame in container.decode(video=0)]
        expected = np.asarray(pictures[len(pictures) // 2].convert("L")).astype(int)
        found = real.read_image(sample).astype(int)
        # Rounding of colour conversions; coloured marks may differ more.
        assert np.abs(found - expected).mean() < 1, sample.id


@pytest.mark.data
def test_real_default_split_keeps_patients_together(real: CovidLusDataset) -> None:
    samples = real.samples()
    split = make_split(samples, real.config.split)
    counts = Counter(split.values())
    assert counts["test"] == 0
    assert counts["val"] == round(len(samples) / 10)
    parts: dict[str | None, set[str]] = {}
    for sample in samples:
        parts.setdefault(sample.group, set()).add(split[sample.id])
    assert all(len(found) == 1 for found in parts.values())
