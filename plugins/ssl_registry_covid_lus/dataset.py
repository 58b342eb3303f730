"""The COVID-19 lung ultrasound (POCUS) data set: videos and images of four classes.

Format: `data/` of a git repository, with `pocus_videos/{convex,linear}/`,
`pocus_images/{convex,linear}/` and `dataset_metadata.csv`. The label is the file name's first
part: `Cov-Atlas-Day+1.gif`, `Pneu_Avi_Video_001.mp4`, `Reg_pat1Image_132943.mpeg`. Videos are
mp4, mov, avi, mpeg or gif, in either case, and some carry another format's suffix.
`pocus_videos/linear/label_uncertain/` holds recordings whose label was never confirmed.

Citation: J. Born, N. Wiedemann, M. Cossio, C. Buhre, G. Brändle, K. Leidermann, J. Goulet,
A. Aujayeb, M. Moor, B. Rieck, K. Borgwardt, Accelerating Detection of Lung Pathologies with
Explainable Ultrasound Image Analysis, Applied Sciences 11(2):672, 2021.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ssl_registry import (
    DataError,
    DatasetInfo,
    Download,
    FolderDataset,
    Image,
    Release,
    Sample,
    read_luma,
)
from ssl_registry_covid_lus.config import CovidLusConfig, Kind, Probe
from ssl_registry_covid_lus.metadata import Metadata, read_metadata
from ssl_registry_covid_lus.selection import evenly_spread, sampled
from ssl_registry_covid_lus.video import VideoHeader, read_frames, read_header

COMMIT = "5ab134eb60b913665a37a7535503150018232045"
FRAME = "frame"
"""Key of `Sample.meta`: number of the frame in its video, where several may be taken."""


@dataclass(frozen=True)
class _Recording:
    path: Path
    kind: Kind
    probe: Probe
    label: str


class CovidLusDataset(FolderDataset):
    """Lung ultrasound recordings labelled covid, pneumonia (bacterial), regular or viral.

    A sample's id is its probe and file name without suffix, such as `convex/Cov-Atlas-Day+1`,
    followed by the frame's number, such as `#20`, where several frames of a video may be taken.
    Files of one probe that differ only in their suffix keep it in their ids. Samples of one
    patient, or of one recording where the metadata name no patient, share a group. Images are
    luma: colour overlays lose their colour.

    `meta` holds `organ`, `probe` and `recording` (video or image), and as far as the metadata
    tell `patient`, `licence` and `source`: licences differ between recordings.
    """

    labels: ClassVar[dict[str, str]] = {
        "cov": "covid",
        "pneu": "pneumonia",
        "reg": "regular",
        "vir": "viral",
    }
    file_name: ClassVar[re.Pattern[str]] = re.compile(r"(cov|pneu|reg|vir)[_-].+", re.IGNORECASE)
    suffixes: ClassVar[dict[Kind, frozenset[str]]] = {
        "image": frozenset({".jpg", ".jpeg", ".png"}),
        "video": frozenset({".mp4", ".m4v", ".mov", ".avi", ".mpeg", ".mpg", ".gif"}),
    }
    probes: ClassVar[tuple[Probe, ...]] = ("convex", "linear")
    folders: ClassVar[dict[Kind, str]] = {"image": "pocus_images", "video": "pocus_videos"}
    metadata_file: ClassVar[str] = "dataset_metadata.csv"
    kept_bytes: ClassVar[int] = 2**25
    """Frames that each reading thread keeps of the video it has read last."""

    info = DatasetInfo(
        organ="lung",
        modality="ultrasound",
        licence="per recording, mostly CC BY-NC 4.0; `meta` of each sample says which",
        citation=(
            "J. Born, N. Wiedemann, M. Cossio, C. Buhre, G. Brändle, K. Leidermann, J. Goulet, "
            "A. Aujayeb, M. Moor, B. Rieck, K. Borgwardt. Accelerating Detection of Lung "
            "Pathologies with Explainable Ultrasound Image Analysis. Applied Sciences "
            "11(2):672, 2021. https://doi.org/10.3390/app11020672"
        ),
        source="https://github.com/jannisborn/covid19_ultrasound",
        channels=1,
        release=Release(
            version=COMMIT,
            downloads=(
                Download(
                    url=f"https://codeload.github.com/jannisborn/covid19_ultrasound/zip/{COMMIT}",
                    # Zipped by the server when it is asked for: no checksum is stable.
                    file_name=f"covid19_ultrasound-{COMMIT}.zip",
                ),
            ),
            by_hand=(
                "run `git clone https://github.com/jannisborn/covid19_ultrasound` and in it "
                f"`git checkout {COMMIT}`"
            ),
        ),
    )

    config: CovidLusConfig

    def __init__(self, config: CovidLusConfig) -> None:
        super().__init__(config)
        self._headers: dict[Path, VideoHeader] = {}
        self._last = threading.local()

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> CovidLusConfig:
        """Write a tiny release of generated pictures."""
        from ssl_registry_covid_lus.sample import write_release

        return write_release(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All samples by probe, images before videos, and name.

        With one frame per recording no video is opened. With more, the header of each is read,
        and a video whose header does not state its length is decoded once. A video that cannot
        be read is listed as one sample, so that reading it says why.

        Raises:
            DatasetNotFoundError: There is no such folder, or it holds no recording, or no
                metadata although groups are to be patients.
            DataError: The metadata cannot be read; names the file and the line.
        """
        folder = self._folder()
        metadata = self._metadata(folder)
        everything = [
            recording
            for probe in self.probes
            for kind in self.folders
            for recording in self._recordings(folder, kind, probe)
        ]
        recordings = [
            recording
            for recording in everything
            if recording.probe in self.config.probes and recording.kind in self.config.recordings
        ]
        if not recordings:
            raise self.missing(
                f"{folder.absolute()} holds no recording such as "
                f"{self.folders['video']}/convex/Cov-Atlas-Day+1.gif of the kinds asked for"
            )
        stems = Counter((recording.probe, recording.path.stem) for recording in everything)
        return [
            sample
            for recording in recordings
            for sample in self._samples_of(
                recording, metadata, unique=stems[recording.probe, recording.path.stem] == 1
            )
        ]

    def read_image(self, sample: Sample) -> Image:
        """Luma of the image or of the chosen frame, uint8 `[H, W]`."""
        path = sample.files[0]
        if path.suffix.lower() not in self.suffixes["video"]:
            return read_luma(path)
        if FRAME not in sample.meta:
            frame = self._chosen(path)[0]
            return read_frames(path, (frame,), self.kept_bytes)[frame]
        return self._frame(path, int(sample.meta[FRAME]))

    def _folder(self) -> Path:
        """The folder that holds the folders of images and videos."""
        root = self.root
        unpacked = sorted(root.glob("covid19*ultrasound*/data"))
        for folder in (root, root / "data", *unpacked):
            if any((folder / name).is_dir() for name in self.folders.values()):
                return folder
        raise self.missing(
            f"neither {root.absolute()} nor its folder data holds "
            f"{' or '.join(self.folders.values())}"
        )

    def _metadata(self, folder: Path) -> Metadata:
        path = folder / self.metadata_file
        if path.exists():
            return read_metadata(path)
        if self.config.group == "recording":
            return Metadata({})
        raise self.missing(
            f"{folder.absolute()} holds no {self.metadata_file}, which tells patients and "
            "licences (group = 'recording' does without)"
        )

    def _recordings(self, folder: Path, kind: Kind, probe: Probe) -> Iterator[_Recording]:
        """The labelled files of one folder; those below it have no certain label."""
        for path in sorted((folder / self.folders[kind] / probe).glob("*")):
            match = self.file_name.fullmatch(path.name)
            if match is not None and path.suffix.lower() in self.suffixes[kind] and path.is_file():
                yield _Recording(path, kind, probe, self.labels[match[1].lower()])

    def _samples_of(
        self, recording: _Recording, metadata: Metadata, *, unique: bool
    ) -> Iterator[Sample]:
        path = recording.path
        name = f"{recording.probe}/{path.stem if unique else path.name}"
        known = metadata.of(path.stem, f"{self.folders[recording.kind]}/{recording.probe}")
        patient = known.get("patient") if self.config.group == "patient" else None
        meta = {"organ": "lung", "probe": recording.probe, "recording": recording.kind, **known}
        for frame in self._listed(recording):
            yield Sample(
                id=name if frame is None else f"{name}#{frame}",
                label=recording.label,
                group=name if patient is None else f"patient {patient}",
                files=(path,),
                meta=meta if frame is None else {**meta, FRAME: str(frame)},
            )

    def _listed(self, recording: _Recording) -> Sequence[int | None]:
        """The frames that are samples of their own; None alone for the whole recording."""
        single = self.config.frame_rate is None and self.config.frames_per_recording == 1
        if recording.kind == "image" or single:
            return [None]
        try:
            return self._chosen(recording.path)
        except DataError:
            return [None]

    def _chosen(self, path: Path) -> tuple[int, ...]:
        """The numbers of the frames that are taken from a video."""
        header = self._headers.get(path)
        if header is None:
            header = self._headers[path] = read_header(path)
        if self.config.frame_rate is None:
            return evenly_spread(header.frames, self.config.frames_per_recording)
        if header.rate is None:
            raise DataError(
                f"the video {path} does not state its frame rate; use frames_per_recording "
                "instead of frame_rate"
            )
        return sampled(header.frames, header.rate, self.config.frame_rate)

    def _frame(self, path: Path, frame: int) -> Image:
        """One frame of several; those that are likely to be read next come with it."""
        kept: tuple[Path, dict[int, Image]] | None = getattr(self._last, "frames", None)
        if kept is None or kept[0] != path or frame not in kept[1]:
            later = [number for number in self._chosen(path) if number > frame]
            kept = path, read_frames(path, (frame, *later), self.kept_bytes)
            self._last.frames = kept
        return kept[1][frame]
