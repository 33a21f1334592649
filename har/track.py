"""Poses into people over time: who is who from frame to frame, and which poses are nobody.

The guards here are what keeps false alarms away (measured on GMDCSA24, UP-Fall and a corridor clip: with a good
danger classifier and no guards, a clip of people who come and go gave about a hundred alarms an hour; with them none).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from har.records import SEEN_SCORE, FloatArray, Pose, PoseFrame
from har.windows import FRAME_MARGIN

# COCO's per-joint falloff, 2 sigma (cocodataset.org, keypoint evaluation).
OKS_FALLOFF = 2.0 * np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
     0.089],
    dtype=np.float32,
)  # fmt: skip

_FARTHEST_PX = 1e5


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What the tracker takes for one person.

    Attributes:
        max_gap_s: longest time without a pose before a track ends.
        confirm_poses: poses a new track needs before it counts as a person.
        confirm_after_s: time it must have been seen for.
        confirm_within_s: longest time without a pose before a track not yet confirmed ends.
        min_side: smallest longer box side of a new person, in frame heights; smaller ones are mostly ghosts.
        min_side_kept: the same for a person already followed.
        max_jump: farthest a body centre moves between two poses, in body lengths, plus `jump_speed` a second.
        jump_speed: how much farther for each second of gap, in body lengths per second.
        max_reach: farthest of all, however long the gap, in body lengths.
        min_shrink: smallest longer box side of the next pose, as a share of the body's; a body seen end on keeps more.
        same_person_overlap: two poses of one frame that overlap (OKS or IoU) by more are one person seen twice.
        edge_margin: a box this near to a frame edge touches it, in frame widths and heights.
    """

    max_gap_s: float = 2.0
    confirm_poses: int = 3
    confirm_after_s: float = 0.25
    confirm_within_s: float = 0.5
    min_side: float = 0.2
    min_side_kept: float = 0.1
    max_jump: float = 0.5
    jump_speed: float = 1.0
    max_reach: float = 1.2
    min_shrink: float = 0.25
    same_person_overlap: float = 0.6
    edge_margin: float = 0.02


@dataclass(frozen=True, slots=True)
class Box:
    """The box round the joints seen, pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Width, pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height, pixels."""
        return self.y1 - self.y0

    @property
    def longer_side(self) -> float:
        """The longer of width and height, pixels."""
        return max(self.width, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One pose of one person.

    Attributes:
        time_s: capture time, Unix seconds.
        pose: the joints.
        box: the box round the joints seen.
    """

    time_s: float
    pose: Pose
    box: Box


@dataclass(slots=True)
class Track:
    """One person over time.

    Attributes:
        person: id, unique within one tracker.
        sightings: the last poses, oldest first.
        body_px: the person's size: the longest box side of the last seconds, slowly forgotten, pixels.
        confirmed: seen often enough to count as a person.
        started_s: capture time of the first pose.
        ended: why the track ended: "" while it lives, "gap" or "edge".
    """

    person: int
    sightings: list[Sighting] = field(default_factory=list)
    body_px: float = 0.0
    confirmed: bool = False
    started_s: float = 0.0
    ended: str = ""

    @property
    def last(self) -> Sighting:
        """The newest pose."""
        return self.sightings[-1]


_HISTORY_S = 8.0
_SIZE_HALF_LIFE_S = 20.0


class Tracker:
    """Follows everybody in one camera's view.

    Matching is by OKS and box overlap together, solved as one assignment (Hungarian method). A pose that jumps,
    shrinks or touches nobody starts a track of its own, which must be seen a few times before it counts.

    Args:
        settings: what counts as one person.
    """

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self._settings = settings or TrackSettings()
        self._next_person = 1
        self.tracks: list[Track] = []

    def update(self, frame: PoseFrame) -> list[Track]:
        """Take one frame's poses in.

        Args:
            frame: the next frame of the same camera, in order of capture time.

        Returns:
            The tracks that ended with this frame; the living ones are in `tracks`.
        """
        ended = self._end_lost(frame)
        sightings = self._people(frame)
        pairs = self._match(sightings, frame=frame)
        matched = {i for i, _ in pairs}
        for i, track in pairs:
            self._follow(track, sightings[i])
        for i, sighting in enumerate(sightings):
            if i not in matched and sighting.box.longer_side >= self._settings.min_side * frame.height_px:
                self._begin(sighting)
        return ended

    def reset(self) -> None:
        """Forget everybody; ids are not used again."""
        self.tracks = []

    def forget(self, track: Track) -> None:
        """Follow somebody no longer: another track turned out to be the same person."""
        self.tracks = [other for other in self.tracks if other is not track]

    def _people(self, frame: PoseFrame) -> list[Sighting]:
        """Drop poses that are nobody, and the weaker of two poses of one person."""
        found = []
        for pose in (_without_far_joints(pose, frame) for pose in frame.poses):
            box = box_of(pose)
            if box is not None and box.longer_side >= self._settings.min_side_kept * frame.height_px:
                found.append(Sighting(frame.time_s, pose, box))
        found.sort(key=lambda s: -float(s.pose.score.mean()))
        kept: list[Sighting] = []
        for sighting in found:
            if all(_overlap(sighting, other) < self._settings.same_person_overlap for other in kept):
                kept.append(sighting)
        return kept

    def _match(self, sightings: Sequence[Sighting], *, frame: PoseFrame) -> list[tuple[int, Track]]:
        """Pair poses with tracks so that the sum of overlaps is greatest; forbidden pairs stay apart."""
        if not sightings or not self.tracks:
            return []
        gain = np.zeros((len(sightings), len(self.tracks)))
        for i, sighting in enumerate(sightings):
            for j, track in enumerate(self.tracks):
                gain[i, j] = self._likeness(sighting, track, frame)
        rows, columns = linear_sum_assignment(-gain)
        return [(int(i), self.tracks[j]) for i, j in zip(rows, columns, strict=True) if gain[i, j] > 0]

    def _likeness(self, sighting: Sighting, track: Track, frame: PoseFrame) -> float:
        """How well a pose continues a track: 0 if it cannot, else up to 3."""
        last, s = track.last, self._settings
        gap_s = sighting.time_s - last.time_s
        # Who was last seen at an edge comes back there; anything farther in is somebody or something else.
        reach = s.max_jump + (0.0 if self.touches_edge(last.box, frame) else s.jump_speed * gap_s)
        jump = float(np.hypot(*np.subtract(sighting.box.centre, last.box.centre))) / max(track.body_px, 1.0)
        if jump > min(reach, s.max_reach) or sighting.box.longer_side < s.min_shrink * track.body_px:
            return 0.0
        return 1e-3 + 0.5 * (1.0 - jump / reach) + oks(sighting.pose, last.pose) + iou(sighting.box, last.box)

    def _follow(self, track: Track, sighting: Sighting) -> None:
        gap_s = sighting.time_s - track.last.time_s
        track.sightings.append(sighting)
        forget = 0.5 ** (max(gap_s, 0.0) / _SIZE_HALF_LIFE_S)
        track.body_px = max(track.body_px * forget, sighting.box.longer_side)
        while track.sightings[0].time_s < sighting.time_s - _HISTORY_S:
            track.sightings.pop(0)
        seen_s = sighting.time_s - track.started_s
        enough = len(track.sightings) >= self._settings.confirm_poses and seen_s >= self._settings.confirm_after_s
        track.confirmed = track.confirmed or enough

    def _begin(self, sighting: Sighting) -> None:
        track = Track(self._next_person, [sighting], sighting.box.longer_side, started_s=sighting.time_s)
        self._next_person += 1
        self.tracks.append(track)

    def _end_lost(self, frame: PoseFrame) -> list[Track]:
        """End the tracks that were not seen for too long, before they are matched."""
        ended = []
        for track in self.tracks:
            patience_s = self._settings.max_gap_s if track.confirmed else self._settings.confirm_within_s
            if frame.time_s - track.last.time_s > patience_s:
                track.ended = "edge" if self.touches_edge(track.last.box, frame) else "gap"
                ended.append(track)
        self.tracks = [t for t in self.tracks if not t.ended]
        return ended

    def touches_edge(self, box: Box, frame: PoseFrame) -> bool:
        """Say whether a box touches the left or right edge, the ways people leave a room's picture."""
        margin = self._settings.edge_margin * frame.width_px
        return box.x0 < margin or box.x1 > frame.width_px - margin


def box_of(pose: Pose) -> Box | None:
    """Give the box round the joints seen; None if fewer than four are, or if it has no area."""
    seen = _seen(pose)
    if int(seen.sum()) < 4:
        return None
    (x0, y0), (x1, y1) = pose.xy[seen].min(axis=0), pose.xy[seen].max(axis=0)
    box = Box(float(x0), float(y0), float(x1), float(y1))
    return box if box.width > 1.0 and box.height > 1.0 else None


def _without_far_joints(pose: Pose, frame: PoseFrame) -> Pose:
    """Take joints far outside the picture for not seen: they are guesses, and would make the body longer than it is."""
    size = np.array([frame.width_px, frame.height_px], dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        near = (np.abs(pose.xy - size / 2) <= size * (0.5 + FRAME_MARGIN)).all(axis=1)
    return pose if near.all() else replace(pose, score=np.where(near, pose.score, np.float32(0)))


def oks(a: Pose, b: Pose) -> float:
    """Object keypoint similarity of two COCO-17 poses, in [0, 1].

    The area is that of the two poses' boxes together (COCO keypoint evaluation takes the annotated segment's).
    """
    seen = _seen(a) & _seen(b)
    if not seen.any():
        return 0.0
    both: FloatArray = np.concatenate([a.xy[seen], b.xy[seen]])
    area = float(np.prod(np.maximum(both.max(axis=0) - both.min(axis=0), 1.0)))
    squared = ((a.xy[seen] - b.xy[seen]) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * OKS_FALLOFF[seen] ** 2)).mean())


@lru_cache(maxsize=64)
def _seen(pose: Pose) -> npt.NDArray[np.bool_]:
    """Say which joints count as seen: scored, and at a place that any picture could have.

    Asked again and again of the poses of the last two frames, so these are kept (poses never change).
    """
    with np.errstate(invalid="ignore"):
        return (pose.score >= SEEN_SCORE) & (np.abs(pose.xy) < _FARTHEST_PX).all(axis=1)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def _overlap(a: Sighting, b: Sighting) -> float:
    return max(oks(a.pose, b.pose), iou(a.box, b.box))


@dataclass(slots=True)
class Followed:
    """One person of a recording.

    Attributes:
        sightings: by the number of the frame, in order.
        confirmed: the track counted as a person.
    """

    sightings: dict[int, Sighting]
    confirmed: bool = False


def follow(frames: Iterable[PoseFrame]) -> list[Followed]:
    """Follow everybody through a whole recording, as the service would; one for each track, in the order they began."""
    tracker, people = Tracker(), dict[int, Followed]()
    for number, frame in enumerate(frames):
        tracker.update(frame)
        for track in tracker.tracks:
            person = people.setdefault(track.person, Followed({}))
            person.confirmed |= track.confirmed
            if track.last.time_s == frame.time_s:
                person.sightings[number] = track.last
    return list(people.values())
