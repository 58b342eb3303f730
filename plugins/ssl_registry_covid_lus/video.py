"""Exact frames of a video: decoded in order and counted, because seeking is not exact.

A video's length is what its header states; an mpeg states none and is decoded once more to count.
A video that ends before a chosen frame is an error, as is one that is plainly cut off; only of an
mpeg that was cut between two frames nothing shows it, and it counts as a shorter video.

Pixels are as stored: neither an aspect ratio nor a rotation in the container is applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssl_registry import DataError, Image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A text file of another name must not make the library open what it points to.
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": "mov,avi,mpeg,gif"}
_GIF_TRAILER = b";"


@dataclass(frozen=True)
class VideoHeader:
    """What a video says of itself.

    Attributes:
        frames: Number of frames as its header states, or as can be decoded if it states none.
        rate: Frames per second, if stated.
    """

    frames: int
    rate: Fraction | None


def read_header(path: Path) -> VideoHeader:
    """Read how long a video is; only where its header does not state it, decode and count.

    Raises:
        DataError: It cannot be read, holds no frame, or is seen to be cut off; names the file.
    """
    with _opened(path) as (container, stream):
        stated = stream.frames
        # No coded frame takes less than a byte, whatever a damaged header says.
        sane = 0 < stated <= path.stat().st_size
        frames = stated if sane else _count_decoded(path, container, stream)
        if not frames:
            raise DataError(f"the video {path} holds no frame; copy it from the release again")
        return VideoHeader(frames, stream.average_rate or None)


def read_frames(path: Path, wanted: Sequence[int], limit: int) -> dict[int, Image]:
    """Decode frames of a video in one pass.

    Args:
        path: The video.
        wanted: Numbers of frames from 0, in order. The first is always read.
        limit: Further frames are read while they are together no more than so many bytes.

    Returns:
        Luma of the frames read, uint8 `[H, W]`, by number.

    Raises:
        DataError: It cannot be read, or ends before the first wanted frame, whatever its header
            states; names the file.
    """
    import av  # late: it would slow down the listing of datasets

    chosen, first, last = frozenset(wanted), wanted[0], wanted[-1]
    found: dict[int, Image] = {}
    decoded = 0
    with _opened(path) as (container, stream):
        try:
            for number, frame in enumerate(container.decode(stream)):
                decoded = number + 1
                if number not in chosen:
                    continue
                if frame.is_corrupt:
                    raise DataError(
                        f"frame {number} of the video {path} is damaged; copy it from the "
                        "release again"
                    )
                found[number] = _luma(frame)
                if number == last or (len(found) + 1) * found[number].nbytes > limit:
                    break
        except (av.FFmpegError, DataError):
            # Damage after the first frame is told to whoever asks for a frame after it.
            if first not in found:
                raise
    if first not in found:
        raise DataError(
            f"the video {path} ends after {decoded} frames, before frame {first} that was "
            "chosen by the length it states; copy it from the release again"
        )
    return found


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream; errors, also of the block, name the file."""
    import av  # late: it would slow down the listing of datasets

    try:
        with av.open(f"file:{path}", mode="r", container_options=_OPTIONS) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video; copy it from the release again")
            stream = container.streams.video[0]
            # The type stubs do not know that a stream of an unknown codec has no context.
            if not hasattr(stream.codec_context, "thread_count"):
                raise DataError(f"the video {path} is coded in an unknown way or damaged")
            # The caller has threads of its own, and one per video gives the same on any machine.
            stream.codec_context.thread_count = 1
            if container.format.name == "gif":
                _check_gif_end(path)
            yield container, stream
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read the video {path}: {reason}") from error


def _count_decoded(path: Path, container: InputContainer, stream: VideoStream) -> int:
    frames = 0
    for frame in container.decode(stream):
        # Where no length is stated, only this tells that the end is missing.
        if frame.is_corrupt:
            raise DataError(f"the video {path} is cut off; copy it from the release again")
        frames += 1
    return frames


def _check_gif_end(path: Path) -> None:
    """A GIF that was cut off decodes without an error and counts its frames as complete."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1024), 2)
        end = file.read().rstrip(b"\0")
    if not end.endswith(_GIF_TRAILER):
        raise DataError(f"the animation {path} is cut off; copy it from the release again")


def _luma(frame: VideoFrame) -> Image:
    gray = np.array(frame.to_ndarray(format="gray", threads=1), dtype=np.uint8)
    if frame.format.name == "bgra":
        # What no frame of an animation has painted yet is white to the decoder.
        gray[frame.to_ndarray(format="bgra", threads=1)[..., 3] == 0] = 0
    return gray
