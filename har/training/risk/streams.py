"""Everybody in clips and recordings in time order, as the alert rule sees them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from multiprocessing import get_context
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from har.clips import Clip, Span
from har.models.posture import read_posture, stance_before
from har.models.risk_features import FEATURES, RISK_WINDOW_S, Array, BodyTrace, body_features, trace_body
from har.records import SEEN_SCORE, FloatArray, Posture, Stance
from har.training.risk.following import FALL_LABEL, follow_clips
from har.windows import resample

RATE_HZ = 15.0
EVERY_S = 0.2
"""How often the service looks at a person."""
_MIN_POSES = 10
_EDGE_SHARE = 0.02
_READ_HERE_FRAMES = 20_000
"""So much is read before other processes are started: they take some seconds each to begin."""
_WAITING_EACH = 4
"""Clips that wait for each process: they need not all be in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the service would know of a person at one moment.

    Attributes:
        time_s: on the clip's clock.
        posture: how they hold themselves.
        before: how high they were before.
        features: (F,) of the risk window; None if they came into view under a second ago.
    """

    time_s: float
    posture: Posture
    before: Stance
    features: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """One person of one clip in time order, as the alert rule sees them.

    Attributes:
        clip: the clip.
        person: which of the people in it.
        subject: number of the person in `RiskWindows.subjects`.
        falls: spans of their falls.
        readings: from the first pose on, one every `EVERY_S`.
        recorded: it is of a recording of life as it goes, not of a clip cut out of it.
    """

    clip: Clip
    person: int
    subject: int
    falls: tuple[Span, ...]
    readings: tuple[Reading, ...]
    recorded: bool = False

    @property
    def daily_s(self) -> float:
        """Seconds before a fall, or of the whole clip if nobody falls."""
        return self.falls[0][0] if self.falls else self.clip.duration_s

    def trace(self, *, end_s: float, window_s: float) -> BodyTrace | None:
        """Trace the body over the seconds up to `end_s`."""
        return trace_person(self.clip, self.person, from_s=-math.inf, end_s=end_s, window_s=window_s)


def read_streams(clips: Sequence[Clip]) -> list[Stream]:
    """Read everybody in clips that tell of danger, in time order; subjects are numbered in the order of their names.

    Of a clip with a fall only the one whose shoulders drop most is taken; clips that tell of a fall but not when, of
    another layout or other units, are left out.
    """
    numbers = {name: number for number, name in enumerate(sorted({subject_of(clip) for clip in clips}))}
    streams = []
    for clip in clips:
        if clip.danger is None or clip.layout != "coco17" or clip.units != "px":
            continue
        falls = tuple(span for span in clip.spans if span[2] == FALL_LABEL)
        if clip.danger and not falls:
            continue
        for m, readings in _people(clip, falls=falls):
            streams.append(Stream(clip, m, numbers[subject_of(clip)], falls, tuple(readings)))
    return streams


def subject_of(clip: Clip) -> str:
    """Name the person in a clip; a clip without a name is somebody of their own."""
    return clip.subject or clip.id


def read_in_processes(
    clips: Sequence[Clip],
    recordings: Iterable[Clip],
    *,
    jobs: int = 1,
    tell: Callable[[float], None] = lambda hours: None,
) -> Iterator[Stream]:
    """Read everybody in clips, and everybody who is followed through long recordings.

    Args:
        clips: see `read_streams`.
        recordings: (T, M, 17, 3) each, in pixels; who is who in them is not used.
        jobs: processes at once; with 1 all is done in this one.
        tell: called with the hours of recordings read so far.

    Yields:
        Streams in the order of the clips and the recordings, whatever the number of processes; their subjects are not
        numbered.
    """
    hours = 0.0
    work = chain(((clip, _read_clip) for clip in clips), ((clip, _read_recording) for clip in recordings))
    for clip, read, streams in _in_order(work, jobs=jobs):
        yield from streams
        if read is _read_recording:
            hours += clip.duration_s / 3600.0
            tell(hours)


_Read: TypeAlias = Callable[[Clip], list[Stream]]


def _in_order(work: Iterable[tuple[Clip, _Read]], *, jobs: int) -> Iterator[tuple[Clip, _Read, list[Stream]]]:
    n_frames = 0
    work = iter(work)
    while jobs == 1 or n_frames < _READ_HERE_FRAMES:
        found = next(work, None)
        if found is None:
            return
        clip, read = found
        yield clip, read, read(clip)
        n_frames += len(clip.time_s)
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    waiting: deque[tuple[Clip, _Read, Future[list[Stream]]]] = deque()
    try:
        for clip, read in work:
            waiting.append((clip, read, pool.submit(read, clip)))
            if len(waiting) > jobs * _WAITING_EACH:
                yield _result(waiting.popleft())
        yield from map(_result, waiting)
    finally:
        pool.shutdown(cancel_futures=True)  # waits, so that their time is counted


def _result(asked: tuple[Clip, _Read, Future[list[Stream]]]) -> tuple[Clip, _Read, list[Stream]]:
    clip, read, future = asked
    return clip, read, future.result()


def _read_clip(clip: Clip) -> list[Stream]:
    return read_streams([clip])


def _read_recording(clip: Clip) -> list[Stream]:
    return [replace(stream, recorded=True) for track in follow_clips([clip]) for stream in read_streams([track])]


def _people(clip: Clip, *, falls: Sequence[Span]) -> list[tuple[int, list[Reading]]]:
    """Give each person's readings; of a clip with a fall only those of the one whose shoulders drop most."""
    drop = FEATURES.index("shoulder drop")
    people = []
    for m in range(clip.joints.shape[1]):
        readings = _read(clip, m)
        if known := known_rows(readings):
            people.append((m, readings, max(float(row[drop]) for _, row in known)))
    if falls and people:
        people = [max(people, key=lambda person: person[2])]
    return [(m, readings) for m, readings, _ in people]


def known_rows(readings: Sequence[Reading]) -> list[tuple[float, Array]]:
    """Give time and features (F,) of the readings that have features."""
    return [(reading.time_s, reading.features) for reading in readings if reading.features is not None]


def _read(clip: Clip, m: int) -> list[Reading]:
    """Read one person every `EVERY_S`, from the first pose to the end of the clip."""
    seen = seen_frames(clip, m)
    if len(seen) < _MIN_POSES:
        return []
    width_px, height_px = picture_size(clip)
    low, high, longest = _boxes(clip.joints[:, m])
    readings = []
    for end_s in look_times(clip, from_s=float(clip.time_s[seen[0]]), until_s=float(clip.time_s[-1])):
        body = trace_person(clip, m, from_s=-math.inf, end_s=end_s, window_s=RISK_WINDOW_S)
        if body is None:
            continue
        now = int(np.searchsorted(clip.time_s, end_s, side="right")) - 1
        at_edge = bool(low[now] < _EDGE_SHARE * width_px or high[now] > (1 - _EDGE_SHARE) * width_px)
        posture = read_posture(body, time_s=end_s, body_px=float(longest[now]), at_edge=at_edge)
        features = body_features(body, width_px=width_px, height_px=height_px)
        readings.append(Reading(end_s, posture, stance_before(body), features))
    return readings


def picture_size(clip: Clip) -> tuple[int, int]:
    """Give width and height in pixels; 640 x 480 where the clip does not tell."""
    return clip.width_px or 640, clip.height_px or 480


def seen_frames(clip: Clip, m: int) -> npt.NDArray[np.intp]:
    """Give the numbers of the frames that show one person."""
    return np.flatnonzero(np.isfinite(clip.joints[:, m, :, 0]).any(axis=1))


def look_times(clip: Clip, *, from_s: float, until_s: float) -> Iterator[float]:
    """Give the times of looking: those of frames, never between them."""
    for step in range(math.ceil((until_s - from_s) / EVERY_S)):
        yield float(clip.time_s[np.searchsorted(clip.time_s, from_s + step * EVERY_S)])


def trace_person(clip: Clip, m: int, *, from_s: float, end_s: float, window_s: float) -> BodyTrace | None:
    """Trace one person who came into view at `from_s` over the window that ends at `end_s`."""
    width_px, height_px = picture_size(clip)
    begin = int(np.searchsorted(clip.time_s, max(from_s, end_s - window_s - 0.5)))
    stop = int(np.searchsorted(clip.time_s, end_s, side="right"))
    window = resample(
        clip.time_s[begin:stop],
        clip.joints[begin:stop, m],
        rate_hz=RATE_HZ,
        end_s=end_s,
        n_frames=round(window_s * RATE_HZ),
        width_px=width_px,
        height_px=height_px,
    )
    return trace_body(window, rate_hz=RATE_HZ)


def _boxes(joints: FloatArray) -> tuple[Array, Array, Array]:
    """Give (T,) the left and right edge of the last box and the longest side so far, as the tracker knows them."""
    seen = (joints[..., 2] >= SEEN_SCORE) & np.isfinite(joints[..., :2]).all(axis=-1)
    box_low = np.where(seen[..., None], joints[..., :2], np.inf).min(axis=1)
    box_high = np.where(seen[..., None], joints[..., :2], -np.inf).max(axis=1)
    found = seen.sum(axis=1) >= 4
    last = np.maximum.accumulate(np.where(found, np.arange(len(joints)), int(found.argmax())))
    sides = np.where(found, (box_high - box_low).max(axis=1), 0.0)
    return box_low[last, 0], box_high[last, 0], np.maximum.accumulate(sides)
