"""Settings of the COVID-19 lung ultrasound dataset."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ssl_registry import FolderDatasetConfig, SplitConfig

Probe = Literal["convex", "linear"]
Kind = Literal["image", "video"]


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("name each only once")
    return values


class CovidLusConfig(FolderDatasetConfig):
    """Where the recordings lie, which of them are used, and which frames of a video.

    The folder is the repository, its folder `data`, or any folder that holds `pocus_videos`,
    `pocus_images` and `dataset_metadata.csv`. From each video comes its middle frame, unless
    several frames per recording or a frame rate are asked for. The default split is 9:1:0 and
    keeps groups together: neighbouring frames of a recording are nearly the same picture.
    """

    name: str = "covid_lus"
    split: SplitConfig = Field(
        default_factory=lambda: SplitConfig(ratios=(9, 1, 0), seed=42, group_by="group"),
        description="How samples are divided into train, val, test.",
    )
    probes: Annotated[tuple[Probe, ...], AfterValidator(_once)] = Field(
        default=("convex", "linear"), min_length=1, description="Probes whose recordings are used."
    )
    recordings: Annotated[tuple[Kind, ...], AfterValidator(_once)] = Field(
        default=("image", "video"), min_length=1, description="Kinds of recordings that are used."
    )
    frames_per_recording: int = Field(
        default=1,
        ge=1,
        description=(
            "Frames of each video: the middle of as many equal stretches, so 1 is the middle "
            "frame; a shorter video gives all its frames."
        ),
    )
    frame_rate: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Frames per second of video, instead of a fixed number per recording.",
    )
    group: Literal["patient", "recording"] = Field(
        default="patient",
        description=(
            "What a sample's group is: the patient, as far as the metadata tell, else the "
            "recording; or always the recording."
        ),
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        if self.frame_rate is not None and self.frames_per_recording != 1:
            raise ValueError("set frames_per_recording or frame_rate, not both")
        return self
