"""The video again with skeletons, labels and danger drawn on it, or with people as flat shapes.

Pictures never cross from a camera's process to the main one. So what is to be drawn is noted while the service runs,
joints, shapes and words only, and the video is read a second time to draw on.
"""

from __future__ import annotations

import contextlib
import logging
import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image

from har.errors import ConfigError, SourceError
from har.pose.masks import scaled
from har.records import AlertEvent, DangerEvent, Event, Frame, ImageArray, PoseFrame, Silhouette
from har.redaction import redact
from har.service.backdrop import AROUND_S, MOST_VIEWS, Backdrop
from har.service.drawing import BACKDROP, Danger, Figure, draw_scene
from har.sources import open_source
from har.sources.address import local_path, source_kind
from har.track import Track

log = logging.getLogger(__name__)

MAX_FIGURES = 500_000
"""Most skeletons kept, about 250 MB: four and a half hours of two people at 15 frames a second."""
MAX_SKETCHES = 2_000_000
"""Most frames kept, also about 250 MB: eighteen hours at 30 a second of an empty room."""
_SHAPE_AS_FIGURES = 2  # a shape takes the room of two skeletons
NEAR_S = 0.2
"""A frame that was not analysed itself is drawn with the nearest one that was, if it is not farther away."""
HOLD_S = 2.0
"""How long the last picture stays when an alert was raised because the video ended."""

_TIME_BASE = Fraction(1, 90_000)  # holds the frame times of 24, 25, 30, 29.97 and 60 Hz exactly
_NOMINAL_HZ = 30
_CODEC = {"crf": "21", "preset": "veryfast"}


@dataclass(frozen=True, slots=True, eq=False)
class _Sketch:
    """What is to be drawn on one frame.

    Attributes:
        source_time_s: pts, seconds.
        width_px: width of the picture that the joints were found in.
        height_px: its height.
        figures: everybody seen.
        dangers: those that are on; the same tuple from frame to frame while nothing changes.
        others: shapes of those whom the service does not follow (yet).
    """

    source_time_s: float
    width_px: int
    height_px: int
    figures: tuple[Figure, ...]
    dangers: tuple[Danger, ...]
    others: tuple[Silhouette, ...] = ()

    @property
    def shapes(self) -> tuple[Silhouette, ...]:
        """Give everybody's shape."""
        return (*(figure.silhouette for figure in self.figures if figure.silhouette is not None), *self.others)


def check_overlay(source_url: str, out: Path) -> None:
    """Find out whether a source can have an overlay, and whether there is a place for it.

    Args:
        source_url: the source's address.
        out: the video or picture to be written.

    Raises:
        ConfigError: the source is not one video file, or `out` cannot be written there.
    """
    if source_kind(source_url) != "file":
        raise ConfigError(
            f"--overlay draws on a video file, and {redact(source_url)} is none. Give one video file as --source, "
            "or leave --overlay out."
        )
    if out.suffix.lower() not in (".mp4", ".png"):
        raise ConfigError(
            f"--overlay {out}: give a name that ends in .mp4 for a video, or in .png for a picture of the first alert."
        )
    if out.is_dir():
        raise ConfigError(f"--overlay {out} is a folder. Name a file in it.")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--overlay {out}: the folder {out.parent} does not exist. Make it first.")
    if not os.access(out.absolute().parent, os.W_OK):
        raise ConfigError(f"--overlay {out}: nothing may be written into {out.parent}. Give another folder.")
    source = local_path(source_url)
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"--overlay {out} is the source itself. Give the overlay another name.")


class OverlayRecorder:
    """Notes what the service saw and said of one video, and draws it.

    Only joints, labels and danger are kept, at most `max_figures` skeletons and `max_sketches` frames; a longer video's
    overlay ends there, and the log says so.

    Args:
        max_figures: most skeletons kept.
        max_sketches: most frames kept.
    """

    def __init__(self, *, max_figures: int = MAX_FIGURES, max_sketches: int = MAX_SKETCHES) -> None:
        self._sketches: list[_Sketch] = []
        self._dangers: dict[int, Danger] = {}
        self._max_figures, self._max_sketches = max_figures, max_sketches
        self._n_figures = 0
        self._is_full = False
        self._hold_s = 0.0

    def add(self, frame: PoseFrame, people: Sequence[tuple[int, Track, str, float]], events: Sequence[Event]) -> None:
        """Note what is known after a frame.

        Args:
            frame: the frame, in order of pts.
            people: everybody in view with number, label and danger, as `Pipeline.people` gives them.
            events: what was told because of this frame.
        """
        if self._is_full or (self._sketches and frame.source_time_s <= self._sketches[-1].source_time_s):
            return
        dangers = self._follow(events, source_time_s=frame.source_time_s)
        figures = tuple(
            self._figure(person, track, label, danger)
            for person, track, label, danger in people
            if track.last.time_s == frame.time_s and track.last.pose.layout == "coco17"
        )
        followed = {id(figure.silhouette) for figure in figures}
        others = tuple(
            pose.silhouette
            for pose in frame.poses
            if pose.silhouette is not None and id(pose.silhouette) not in followed
        )
        shapes = [figure.silhouette for figure in figures if figure.silhouette is not None]
        self._n_figures += len(figures) + _SHAPE_AS_FIGURES * (len(shapes) + len(others))
        if self._n_figures > self._max_figures or len(self._sketches) >= self._max_sketches:
            self._is_full = True
            log.warning("overlay full at_s=%.1f skeletons=%d", frame.source_time_s, self._n_figures)
            return
        sketch = _Sketch(frame.source_time_s, frame.width_px, frame.height_px, figures, dangers, others)
        self._sketches.append(sketch)

    def finish(self, events: Sequence[Event]) -> None:
        """Note what was told when the source ended; an alert raised then keeps the last picture for a while.

        Args:
            events: what `Pipeline.finish` gave.
        """
        if not self._sketches or self._is_full:
            return
        last = self._sketches[-1]
        dangers = self._follow(events, source_time_s=last.source_time_s)
        figures = tuple(replace(figure, raised=self._is_raised(figure.person)) for figure in last.figures)
        self._sketches[-1] = replace(last, dangers=dangers, figures=figures)
        if any(isinstance(event, AlertEvent) for event in events):
            self._hold_s = HOLD_S

    def write(self, video: str | Path, out: Path, *, silhouette: bool,
              progress: Callable[[float], None] = lambda done_s: None) -> int:  # fmt: skip
        """Draw on the video as far as it was analysed; the sound is left out.

        The pictures keep their times. Nothing is left at `out` if it fails, and what was there stays.

        Args:
            video: path or file:// address of the file that the service read.
            out: the video to write: H.264 in MP4, of even width and height.
            silhouette: people are flat shapes, and somebody whom the estimator did not find is not there at all. With
                an estimator that gives masks they stand before a blurred still of the room (`har.service.backdrop`),
                else before a plain wall, and no pixel of the video is shown.
            progress: called with the seconds that are done.

        Returns:
            How many pictures were written.

        Raises:
            SourceError: the video cannot be read, or nothing of it was analysed.
            ConfigError: `out` cannot be written.
        """
        with _written_whole(out) as partial:
            n_pictures = _encode(partial, self._pictures(video, silhouette=silhouette, progress=progress))
        log.info("overlay written file=%s pictures=%d", out.name, n_pictures)
        return n_pictures

    def write_picture(self, video: str | Path, out: Path, *, at_s: float, silhouette: bool = False) -> None:
        """Draw one picture of the video and write it as PNG.

        Args:
            video: path or file:// address of the file that the service read.
            out: the picture to write.
            at_s: pts of the picture, seconds; the first one from there on is taken, else the last.
            silhouette: as in `write`.

        Raises:
            SourceError: the video cannot be read, or nothing of it was analysed.
            ConfigError: `out` cannot be written.
        """
        room = self._room(video) if silhouette else None
        with contextlib.closing(self._pairs(video)) as pairs:
            frame, sketch = next(pairs)
            while frame.source_time_s < at_s - 1e-6 and (later := next(pairs, None)) is not None:
                frame, sketch = later
        with _written_whole(out) as partial:
            Image.fromarray(_draw(frame, sketch, silhouette=silhouette, room=room)).save(partial, format="PNG")

    def _follow(self, events: Sequence[Event], *, source_time_s: float) -> tuple[Danger, ...]:
        """Keep the dangers that are on, person by person."""
        before = dict(self._dangers)
        for event in events:
            if isinstance(event, DangerEvent) and event.phase == "end":
                self._dangers.pop(event.person, None)
            elif isinstance(event, DangerEvent):
                old = self._dangers.get(event.person)
                raised_s = old.raised_s if old is not None else None
                self._dangers[event.person] = Danger(
                    event.person, event.kind, event.probability, event.reason, raised_s
                )
            elif isinstance(event, AlertEvent) and event.person in self._dangers:
                danger = replace(self._dangers[event.person], reason=event.reason)
                if danger.raised_s is None:
                    danger = replace(danger, raised_s=source_time_s)
                self._dangers[event.person] = danger
                if event.state == "closed":
                    del self._dangers[event.person]
        if self._dangers == before and self._sketches:
            return self._sketches[-1].dangers
        return tuple(self._dangers.values())

    def _is_raised(self, person: int) -> bool:
        danger = self._dangers.get(person)
        return danger is not None and danger.raised_s is not None

    def _figure(self, person: int, track: Track, label: str, danger: float) -> Figure:
        pose = track.last.pose
        joints = np.concatenate([pose.xy, pose.score[:, None]], axis=1, dtype=np.float32)
        raised = self._is_raised(person)
        return Figure(person, joints, track.body_px, label, danger, raised, silhouette=pose.silhouette)

    def _pictures(self, video: str | Path, *, silhouette: bool,
                  progress: Callable[[float], None]) -> Iterator[tuple[ImageArray, float]]:  # fmt: skip
        """Draw every picture, all of the first one's size; the last one twice if it is to be held."""
        size: tuple[int, int] | None = None
        room = self._room(video) if silhouette else None
        for frame, sketch in self._pairs(video):
            picture = _draw(frame, sketch, silhouette=silhouette, room=room)
            size = size or (picture.shape[1], picture.shape[0])
            if picture.shape[1::-1] != size:
                picture = np.asarray(Image.fromarray(picture).resize(size), dtype=np.uint8)
            yield picture, frame.source_time_s
            progress(frame.source_time_s)
        if self._hold_s:
            yield picture, frame.source_time_s + self._hold_s

    def _pairs(self, video: str | Path) -> Generator[tuple[Frame, _Sketch], None, None]:
        """Give each frame of the video with what is to be drawn on it, as far as it was analysed.

        Raises:
            SourceError: the video cannot be read, or nothing of it was analysed.
        """
        times_s = [sketch.source_time_s for sketch in self._sketches]
        n_frames = 0
        with open_source(str(video), camera="overlay", paced=False) as source:
            for frame in source.frames():
                if not times_s or frame.source_time_s > times_s[-1] + NEAR_S:
                    break
                n_frames += 1
                yield frame, self._nearest(times_s, frame)
        if n_frames == 0:
            raise SourceError(
                f"{redact(str(video))}: no frame of it was analysed, so there is nothing to draw. Check that the "
                "service read this very file."
            )

    def _room(self, video: str | Path) -> ImageArray | None:
        """Give a still of the room without anybody in it; None where no shapes say who stands where."""
        if not any(sketch.shapes for sketch in self._sketches):
            return None
        wanted = set(np.linspace(0, len(self._sketches) - 1, num=MOST_VIEWS, dtype=int).tolist())
        shown = {self._sketches[number].source_time_s: number for number in wanted}
        room = Backdrop()
        with contextlib.closing(self._pairs(video)) as pairs:
            for frame, sketch in pairs:
                number = shown.get(frame.source_time_s)
                if number is not None:
                    size = (sketch.width_px, sketch.height_px)
                    room.add(frame.image, self._shapes_about(number), width_px=size[0], height_px=size[1])
        return room.still(BACKDROP)

    def _shapes_about(self, number: int) -> list[Silhouette]:
        """Give where people were found around the time of a sketch: the estimator may have missed them in one frame."""
        at_s = self._sketches[number].source_time_s
        first = bisect_left(self._sketches, at_s - AROUND_S, key=lambda sketch: sketch.source_time_s)
        last = bisect_right(self._sketches, at_s + AROUND_S, key=lambda sketch: sketch.source_time_s)
        return [shape for sketch in self._sketches[first:last] for shape in sketch.shapes]

    def _nearest(self, times_s: Sequence[float], frame: Frame) -> _Sketch:
        i = bisect_left(times_s, frame.source_time_s)
        near = [self._sketches[j] for j in (i - 1, i) if 0 <= j < len(times_s)]
        sketch = min(near, key=lambda s: abs(s.source_time_s - frame.source_time_s))
        if abs(sketch.source_time_s - frame.source_time_s) <= NEAR_S:
            return sketch
        return replace(near[0], figures=(), others=())


def _draw(frame: Frame, sketch: _Sketch, *, silhouette: bool, room: ImageArray | None) -> ImageArray:
    height_px, width_px = frame.image.shape[:2]
    across, down = width_px / sketch.width_px, height_px / sketch.height_px
    scale = np.array([across, down, 1.0], dtype=np.float32)
    figures: Sequence[Figure] = sketch.figures
    others: Sequence[Silhouette] = sketch.others
    if not (scale == 1).all():
        figures = [
            replace(
                figure,
                joints=figure.joints * scale,
                body_px=figure.body_px * scale[1],
                silhouette=figure.silhouette and scaled(figure.silhouette, across=across, down=down),
            )
            for figure in figures
        ]
        others = [scaled(shape, across=across, down=down) for shape in others]
    if room is not None:
        room = np.asarray(Image.fromarray(room).resize((width_px, height_px), Image.Resampling.BICUBIC))
    return draw_scene(frame.image, figures=figures, dangers=sketch.dangers, source_time_s=frame.source_time_s,
                      silhouette=silhouette, room=room, others=others)  # fmt: skip


def _encode(path: Path, pictures: Iterable[tuple[ImageArray, float]]) -> int:
    """Write pictures with their times as H.264; gives how many there were."""
    n_pictures, last_pts = 0, -(2**62)
    stream: VideoStream | None = None
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        for picture, time_s in pictures:
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=_NOMINAL_HZ, options=_CODEC)
                stream.height, stream.width, stream.pix_fmt = even.shape[0], even.shape[1], "yuv420p"
                stream.codec_context.time_base = _TIME_BASE
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            last_pts = max(round(time_s / _TIME_BASE), last_pts + 1)
            frame.pts, frame.time_base = last_pts, _TIME_BASE
            container.mux(stream.encode(frame))
            n_pictures += 1
        if stream is not None:
            container.mux(stream.encode())
    return n_pictures


@contextlib.contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """Give a path beside `out` that takes its place once everything is written, and is gone if that fails."""
    partial = out.with_name(f".{out.stem}.partial{out.suffix}")
    try:
        yield partial
        partial.replace(out)
    except (OSError, av.FFmpegError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"{out}: cannot be written ({why}). Check the folder's rights and its free space.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
