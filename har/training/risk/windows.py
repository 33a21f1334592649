"""Streams cut into windows with the truth: what the risk model learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from har.clips import Clip, Span
from har.models.risk_features import RISK_WINDOW_S, Array, body_features
from har.training.risk.streams import (
    Stream,
    known_rows,
    look_times,
    picture_size,
    read_in_processes,
    seen_frames,
    subject_of,
    trace_person,
)

RECORDING_EVERY = 5
"""Of a recording without a fall, each so-manieth window is learnt from: life is mostly sitting."""

# When a window says "fall": it ends from shortly before the body is down until the way down leaves the window. The
# windows next to these are neither; what lies well after the fall is lying, which is the floor timer's business.
_BEFORE_GROUND_S = 0.15
_AFTER_GROUND_S = 1.3
_CLEAR_AFTER_S = 2.6
_CLEAR_BEFORE_S = 0.3
# Three of the eleven GMDCSA24 falls begin within half a second of the first frame; people fall in doorways too.
_ARRIVE_BEFORE_S = (0.2, 0.6)
_N_ARRIVALS = 3


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
        return weigh_sources(self.source)

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


def cut_risk_windows(
    clips: Sequence[Clip],
    recordings: Iterable[Clip] = (),
    *,
    jobs: int = 1,
    tell: Callable[[float], None] = lambda hours: None,
) -> RiskWindows | None:
    """Cut clips into windows for the risk model, the way the service sees them.

    Args:
        clips: short, of one person or of people who are told apart.
        recordings: long ones of life, and of falls in it; people are followed through them by the tracker.
        jobs: processes that read them.
        tell: called with the hours of recordings read so far.

    Returns:
        None if there are not falls and other windows of at least two people each.
    """
    rows: list[tuple[Array, bool, str, int, str]] = []
    streams = list(read_in_processes(clips, recordings, jobs=jobs, tell=tell))
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


def weigh_sources(source: npt.NDArray[np.int_]) -> Array:
    """Give weights (N,), 1 on average, by which each of the sources (N,) counts alike."""
    counts = np.bincount(source)
    weight: Array = len(source) / (np.count_nonzero(counts) * counts[source].astype(np.float64))
    return weight


def _rows_of(stream: Stream) -> list[tuple[float, Array]]:
    known = known_rows(stream.readings)
    if stream.recorded:
        return known if stream.falls else known[::RECORDING_EVERY]
    return [*known, *_arrivals(stream.clip, stream.person, falls=stream.falls)]


def _first_falls(streams: Sequence[Stream]) -> dict[str, int]:
    """Number the falls over all clips: give the number of each clip's first."""
    numbers: dict[str, int] = {}
    n_falls = 0
    for stream in streams:
        if stream.clip.id not in numbers:
            numbers[stream.clip.id] = n_falls
            n_falls += len(stream.falls)
    return numbers


def _arrivals(clip: Clip, m: int, *, falls: Sequence[Span]) -> Iterator[tuple[float, Array]]:
    """Give features as if the person had come into view only then, shortly before the fall or anywhere."""
    seen = seen_frames(clip, m)
    width_px, height_px = picture_size(clip)
    first_s, last_s = float(clip.time_s[seen[0]]), float(clip.time_s[-1])
    if falls:
        arrivals = [start_s - before_s for start_s, _, _ in falls for before_s in _ARRIVE_BEFORE_S]
    else:
        arrivals = np.linspace(first_s, last_s, _N_ARRIVALS + 2)[1:-1].tolist()
    for arrival_s in arrivals:
        if arrival_s <= first_s:
            continue
        for end_s in look_times(clip, from_s=arrival_s, until_s=min(arrival_s + RISK_WINDOW_S, last_s)):
            body = trace_person(clip, m, from_s=arrival_s, end_s=end_s, window_s=RISK_WINDOW_S)
            row = None if body is None else body_features(body, width_px=width_px, height_px=height_px)
            if row is not None:
                yield end_s, row


def window_truth(end_s: float, falls: Sequence[Span]) -> int | None:
    """Give the number of the fall that a window ending then holds; -1 for none, None if it can be called neither."""
    for number, (_, ground_s, _) in enumerate(falls):
        if ground_s - _BEFORE_GROUND_S <= end_s <= ground_s + _AFTER_GROUND_S:
            return number
    near = any(start_s + _CLEAR_BEFORE_S <= end_s <= ground_s + _CLEAR_AFTER_S for start_s, ground_s, _ in falls)
    return None if near else -1
