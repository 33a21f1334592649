"""Video files and folders of them: timed RGB frames, decoded with PyAV."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from har.errors import SourceError
from har.records import Frame, ImageArray
from har.redaction import redact
from har.sources.address import VIDEO_SUFFIXES
from har.sources.source import Clock, Counts, Pacer, Source, SourceItem, run_start_s

log = logging.getLogger(__name__)

MAX_PIXELS = 64_000_000
"""Larger pictures are refused: no camera has them, and one would take 200 MB."""
FALLBACK_RATE_HZ = 25.0
"""Taken when a stream states neither its pts nor its rate."""

# Formats that hold pictures themselves. Left out on purpose: playlists (HLS, DASH, concat...), which may name any other
# file or address of the machine.
_FORMATS = (
    "asf,avi,flv,h264,hevc,ivf,m4v,matroska,webm,mjpeg,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,ogg,obu,"
    "jpeg_pipe,png_pipe,gif,nut,yuv4mpegpipe"
)
_FILE_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}

Picture: TypeAlias = tuple[VideoFrame, float]
"""A decoded picture, not converted yet, and its pts in seconds."""


def open_files(paths: Sequence[Path], *, camera: str, paced: bool, clock: Clock) -> Source:
    """Read video files one after another.

    Raises:
        SourceError: the first one cannot be opened; later ones raise while iterating.
    """
    counts = Counts()
    first = open_container(paths[0])
    items = _play(
        first, paths, camera=camera, pacer=Pacer(clock, counts) if paced else None, clock=clock, counts=counts
    )

    def close() -> None:
        items.close()
        first.close()

    return Source(items, counts=counts, close=close)


def folder_files(path: Path) -> tuple[Path, ...]:
    """List a folder's video files in order of name.

    Raises:
        SourceError: it cannot be read, or holds none.
    """
    try:
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    except OSError as error:
        raise SourceError(
            f"folder {redact(str(path))} cannot be read: {error.strerror}. Check path and rights."
        ) from None
    if not found:
        raise SourceError(
            f"folder {redact(str(path))} holds no video file ({', '.join(sorted(VIDEO_SUFFIXES))}). "
            "Name the folder that holds them."
        )
    return tuple(found)


def open_container(path: Path) -> InputContainer:
    """Open a video file that has pictures in it.

    Raises:
        SourceError: missing, unreadable, empty, not a video, or without pictures.
    """
    shown = redact(str(path))
    check_file(path)
    try:
        container: InputContainer = av.open(f"file:{path}", options=_FILE_OPTIONS, metadata_errors="replace")
    except (OSError, ValueError, av.FFmpegError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(
            f"{shown} cannot be read as a video: {why}. Give a video file such as .mp4 or .mkv."
        ) from None
    problem = _problem_of(container)
    if problem:
        container.close()
        raise SourceError(f"{shown} {problem}")
    return container


def check_file(path: Path) -> None:
    """Refuse a path that is no readable file with something in it.

    Raises:
        SourceError: with the reason.
    """
    shown = redact(str(path))
    try:
        if path.is_dir():
            raise SourceError(f"{shown} is a folder. Name a file in it.")
        if not path.is_file():
            raise SourceError(
                f"{shown} does not exist. Check the path." if not path.exists() else f"{shown} is no file."
            )
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{shown} is empty. Check that it was copied whole.")
    except OSError as error:
        raise SourceError(f"{shown} cannot be read: {error.strerror}. Check path and rights.") from None


def decode_pictures(container: InputContainer, counts: Counts, *, live: bool = False) -> Iterator[Picture]:
    """Decode a container's first video stream in order of time; a picture that is broken is counted and left out.

    Pts are strictly increasing: one that is missing, or not later than the last, is replaced by the last plus a frame.

    Args:
        container: an opened one, with a video stream.
        counts: `corrupt` is counted there.
        live: raise when no more can be read, instead of ending as a file that is cut short does; and let pts leap back
            by more than a second, as those of a camera do that sets its clock.
    """
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1  # one camera, one core; 640x480 decodes in under a millisecond
    period_s = frame_period_s(stream)
    last_s = -math.inf
    for frame in _decode(container, stream, counts, live=live):
        if frame.is_corrupt:
            counts.corrupt += 1
            continue
        pts_s = frame.time
        if pts_s is None or (pts_s <= last_s and not (live and pts_s < last_s - 1.0)):
            pts_s = last_s + period_s if math.isfinite(last_s) else 0.0
        last_s = pts_s
        yield frame, pts_s


def frame_period_s(stream: VideoStream) -> float:
    """Seconds between two frames of a stream, by its own account."""
    rate = stream.average_rate or stream.guessed_rate
    return 1.0 / float(rate) if rate and 0.1 <= float(rate) <= 1000.0 else 1.0 / FALLBACK_RATE_HZ


def to_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> ImageArray:
    """Convert a picture to (H, W, 3) uint8 RGB, turned upright as its file says.

    The reformatter is kept by the caller: making one per frame more than doubles the cost (2.1 against 1.2 ms).
    """
    image: ImageArray = np.asarray(reformatter.reformat(frame, format="rgb24").to_ndarray(), dtype=np.uint8)
    turns = round(frame.rotation / 90.0) % 4  # FFmpeg counts degrees against the clock, as rot90 does
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _play(
    first: InputContainer, paths: Sequence[Path], *, camera: str, pacer: Pacer | None, clock: Clock, counts: Counts
) -> Generator[SourceItem, None, None]:
    start_s = run_start_s(clock)
    offset_s = 0.0  # of the present file's first frame from the run's start
    for i, path in enumerate(paths):
        container = first if i == 0 else open_container(path)
        log.info("source file camera=%s file=%s n=%d of=%d", camera, redact(path.name), i + 1, len(paths))
        with container:
            period_s = frame_period_s(container.streams.video[0])
            reformatter = VideoReformatter()
            first_pts_s: float | None = None
            at_s = offset_s
            for picture, pts_s in decode_pictures(container, counts):
                first_pts_s = pts_s if first_pts_s is None else first_pts_s
                at_s = offset_s + (pts_s - first_pts_s)
                if pacer is not None:
                    yield from pacer.hold(at_s)
                    if pacer.is_late(at_s):
                        continue
                image = to_rgb(picture, reformatter)
                yield Frame(image=image, time_s=start_s + at_s, source_time_s=pts_s, camera=camera)
                if pacer is not None:
                    pacer.delivered()
            duration_s = (container.duration or 0) / av.time_base
        if first_pts_s is None:
            raise SourceError(f"no picture of {redact(str(path))} could be decoded. Check that it was copied whole.")
        if (played_s := at_s - offset_s) < duration_s - max(2.0, 0.1 * duration_s):
            log.warning("source file ended early camera=%s at_s=%.1f of_s=%.1f", camera, played_s, duration_s)
        offset_s = at_s + period_s
    if counts.corrupt:
        log.warning("source broken_frames camera=%s n=%d", camera, counts.corrupt)


def _decode(container: InputContainer, stream: VideoStream, counts: Counts, *, live: bool) -> Iterator[VideoFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (OSError, ValueError, av.FFmpegError):  # the rest is out of reach
            if live:
                raise
            counts.corrupt += 1
            return
        try:
            yield from packet.decode()
        except (ValueError, av.FFmpegError):
            counts.corrupt += 1


def _problem_of(container: InputContainer) -> str:
    if not container.streams.video:
        return "holds no pictures (no video stream). Give a video file."
    stream = container.streams.video[0]
    if stream.codec_context is None:  # FFmpeg knows no decoder; the stubs leave that out
        return "is coded in an unknown way. Convert it to H.264 first."  # type: ignore[unreachable]
    if stream.width * stream.height > MAX_PIXELS:
        return f"has pictures of {stream.width}x{stream.height}, which is too large. Scale it down first."
    return ""
