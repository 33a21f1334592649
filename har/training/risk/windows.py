"""Clips as the risk model learns from them: windows with the truth, and every reading of a person in time order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from har.clips import Clip, Span
from har.models.posture import read_posture, stance_before
from har.models.risk_features import FEATURES, RISK_WINDOW_S, Array, BodyTrace, body_features, trace_body
from har.records import SEEN_SCORE, FloatArray, Posture, Stance
from har.training.risk.following import FALL_LABEL, follow
from har.windows import resample

RATE_HZ = 15.0
EVERY_S = 0.2
"""How often the service looks at a person."""
RECORDING_EVERY = 5
"""Of a recording without a fall, each so-manieth window is learnt from: life is mostly sitting."""

# When a window says "fall": it ends from shortly before the body is down until the way down leaves the window. The
# windows next to these are neither; what lies well after the fall is lying, which is the floor timer's business.
_BEFORE_GROUND_S = 0.15
_AFTER_GROUND_S = 1.3
_CLEAR_AFTER_S = 2.6
_CLEAR_BEFORE_S = 0.3
_MIN_POSES = 10
# Three of the eleven GMDCSA24 falls begin within half a second of the first frame; people fall in doorways too.
_ARRIVE_BEFORE_S = (0.2, 0.6)
_N_ARRIVALS = 3
_EDGE_SHARE = 0.02


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
        return _trace(self.clip, self.person, from_s=-math.inf, end_s=end_s, window_s=window_s)


@dataclass(frozen=True, slots=True, eq=False)
class RiskWindows:
    """Features of windows with the truth.

    Attributes:
        features: (N, F) float64.
        danger: (N,) whether the window holds a fall.
        subject: (N,) number of the person in `subjects`, never split between fitting and calibration.
        fall: (N,) number of the fall a dangerous window belongs to; -1 for none.
        source: (N,) number of the source of the clip.
        subjects: who.
        streams: the same people in time order.
    """

    features: Array
    danger: npt.NDArray[np.bool_]
    subject: npt.NDArray[np.int_]
    fall: npt.NDArray[np.int_]
    source: npt.NDArray[np.int_]
    subjects: tuple[str, ...]
    streams: tuple[Stream, ...] = ()

    @property
    def weight(self) -> Array:
        """(N,) weights by which each source of clips counts alike."""
        counts = np.bincount(self.source)
        weight: Array = len(self.source) / (np.count_nonzero(counts) * counts[self.source].astype(np.float64))
        return weight

    def without(self, subject: str) -> RiskWindows:
        """Give the windows of everybody but one."""
        if subject not in self.subjects:
            return self
        kept = self.subject != self.subjects.index(subject)
        fall = np.full(int(kept.sum()), -1)
        falls = self.fall[kept]
        fall[falls >= 0] = np.unique(falls[falls >= 0], return_inverse=True)[1]
        gone = self.subjects.index(subject)
        streams = tuple(stream for stream in self.streams if stream.subject != gone)
        return RiskWindows(
            self.features[kept], self.danger[kept], self.subject[kept], fall, self.source[kept], self.subjects, streams
        )


def cut_risk_windows(clips: Sequence[Clip], recordings: Iterable[Clip] = ()) -> RiskWindows | None:
    """Cut clips into windows for the risk model, the way the service sees them.

    Args:
        clips: short, of one person or of people who are told apart.
        recordings: long ones of life, and of falls in it; people are followed through them by the tracker.

    Returns:
        None if there are not falls and other windows of at least two people each.
    """
    rows: list[tuple[Array, bool, str, int, str]] = []
    streams = read_streams(clips)
    streams += [replace(stream, recorded=True) for clip in follow(recordings) for stream in read_streams([clip])]
    first_fall = _first_falls(streams)
    for stream in streams:
        for end_s, row in _rows_of(stream):
            truth = window_truth(end_s, stream.falls)
            if truth is not None:
                fall = first_fall[stream.clip.id] + truth if truth >= 0 else -1
                rows.append((row, truth >= 0, subject_of(stream.clip), fall, stream.clip.source))
    if not rows:
        return None
    danger = np.array([row[1] for row in rows])
    subjects, subject = np.unique([row[2] for row in rows], return_inverse=True)
    if len(np.unique(subject[danger])) < 2 or len(np.unique(subject[~danger])) < 2:
        return None
    number = {str(name): n for n, name in enumerate(subjects)}
    return RiskWindows(
        features=np.stack([row[0] for row in rows]),
        danger=danger,
        subject=subject,
        fall=np.unique([row[3] for row in rows], return_inverse=True)[1] - int(not danger.all()),
        source=np.unique([row[4] for row in rows], return_inverse=True)[1],
        subjects=tuple(number),
        streams=tuple(
            replace(stream, subject=number[subject_of(stream.clip)])
            for stream in streams
            if subject_of(stream.clip) in number
        ),
    )


def _rows_of(stream: Stream) -> list[tuple[float, Array]]:
    known = _known(stream.readings)
    if stream.recorded:
        return known if stream.falls else known[::RECORDING_EVERY]
    return [*known, *_arrivals(stream.clip, stream.person, falls=stream.falls)]


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


def _first_falls(streams: Sequence[Stream]) -> dict[str, int]:
    """Number the falls over all clips: give the number of each clip's first."""
    numbers: dict[str, int] = {}
    n_falls = 0
    for stream in streams:
        if stream.clip.id not in numbers:
            numbers[stream.clip.id] = n_falls
            n_falls += len(stream.falls)
    return numbers


def _people(clip: Clip, *, falls: Sequence[Span]) -> list[tuple[int, list[Reading]]]:
    """Give each person's readings; of a clip with a fall only those of the one whose shoulders drop most."""
    drop = FEATURES.index("shoulder drop")
    people = []
    for m in range(clip.joints.shape[1]):
        readings = _read(clip, m)
        if known := _known(readings):
            people.append((m, readings, max(float(row[drop]) for _, row in known)))
    if falls and people:
        people = [max(people, key=lambda person: person[2])]
    return [(m, readings) for m, readings, _ in people]


def _known(readings: Sequence[Reading]) -> list[tuple[float, Array]]:
    return [(reading.time_s, reading.features) for reading in readings if reading.features is not None]


def _read(clip: Clip, m: int) -> list[Reading]:
    """Read one person every `EVERY_S`, from the first pose to the end of the clip."""
    seen = _seen_frames(clip, m)
    if len(seen) < _MIN_POSES:
        return []
    width_px, height_px = _size(clip)
    low, high, longest = _boxes(clip.joints[:, m])
    readings = []
    for end_s in _ends(clip, from_s=float(clip.time_s[seen[0]]), until_s=float(clip.time_s[-1])):
        body = _trace(clip, m, from_s=-math.inf, end_s=end_s, window_s=RISK_WINDOW_S)
        if body is None:
            continue
        now = int(np.searchsorted(clip.time_s, end_s, side="right")) - 1
        at_edge = bool(low[now] < _EDGE_SHARE * width_px or high[now] > (1 - _EDGE_SHARE) * width_px)
        posture = read_posture(body, time_s=end_s, body_px=float(longest[now]), at_edge=at_edge)
        features = body_features(body, width_px=width_px, height_px=height_px)
        readings.append(Reading(end_s, posture, stance_before(body), features))
    return readings


def _arrivals(clip: Clip, m: int, *, falls: Sequence[Span]) -> Iterator[tuple[float, Array]]:
    """Give features as if the person had come into view only then, shortly before the fall or anywhere."""
    seen = _seen_frames(clip, m)
    width_px, height_px = _size(clip)
    first_s, last_s = float(clip.time_s[seen[0]]), float(clip.time_s[-1])
    if falls:
        arrivals = [start_s - before_s for start_s, _, _ in falls for before_s in _ARRIVE_BEFORE_S]
    else:
        arrivals = np.linspace(first_s, last_s, _N_ARRIVALS + 2)[1:-1].tolist()
    for arrival_s in arrivals:
        if arrival_s <= first_s:
            continue
        for end_s in _ends(clip, from_s=arrival_s, until_s=min(arrival_s + RISK_WINDOW_S, last_s)):
            body = _trace(clip, m, from_s=arrival_s, end_s=end_s, window_s=RISK_WINDOW_S)
            row = None if body is None else body_features(body, width_px=width_px, height_px=height_px)
            if row is not None:
                yield end_s, row


def _size(clip: Clip) -> tuple[int, int]:
    return clip.width_px or 640, clip.height_px or 480


def _seen_frames(clip: Clip, m: int) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.isfinite(clip.joints[:, m, :, 0]).any(axis=1))


def _ends(clip: Clip, *, from_s: float, until_s: float) -> Iterator[float]:
    """Give the times of looking: those of frames, never between them."""
    for step in range(math.ceil((until_s - from_s) / EVERY_S)):
        yield float(clip.time_s[np.searchsorted(clip.time_s, from_s + step * EVERY_S)])


def _trace(clip: Clip, m: int, *, from_s: float, end_s: float, window_s: float) -> BodyTrace | None:
    """Trace one person who came into view at `from_s` over the window that ends at `end_s`."""
    width_px, height_px = _size(clip)
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


def window_truth(end_s: float, falls: Sequence[Span]) -> int | None:
    """Give the number of the fall that a window ending then holds; -1 for none, None if it can be called neither."""
    for number, (_, ground_s, _) in enumerate(falls):
        if ground_s - _BEFORE_GROUND_S <= end_s <= ground_s + _AFTER_GROUND_S:
            return number
    near = any(start_s + _CLEAR_BEFORE_S <= end_s <= ground_s + _CLEAR_AFTER_S for start_s, ground_s, _ in falls)
    return None if near else -1
