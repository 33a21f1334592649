"""Poses into people over time: who is who from frame to frame, and which poses are nobody.

The guards here are what keeps false alarms away (measured on GMDCSA24, UP-Fall and a corridor clip: with a good
danger classifier and no guards, a clip of people who come and go gave about a hundred alarms an hour; with them none).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from har.records import PoseFrame
from har.track.motion import Motion, fit, goes_out, motion_of, shape_fit, size_change, way_off
from har.track.sightings import Box, Sighting, box_of, iou, same_body, without_far_joints


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
        max_jump: farthest a body's centre may be from the way it was on, in body lengths, plus `jump_speed` a second.
        jump_speed: how much farther for each second of gap, in body lengths per second.
        max_reach: farthest of all, however long the gap, in body lengths.
        min_shrink: smallest longer box side of the next pose, as a share of the body's; a body seen end on keeps more.
        same_person_overlap: two poses of one frame with a larger OKS are one person seen twice; and where the box of
            somebody followed overlaps another pose's by more, that pose begins nobody new.
        other_size: how much larger or smaller somebody else is who appears within reach: a logarithm of the stature.
        other_place: how far off they must be for that to tell, in body lengths; falling makes a body look small too.
        remember_s: how long somebody lost inside the picture is known again, as a new track with the same id.
        known_within: how far from the way that they were on, in body lengths.
        known_fit: how well a pose must fit what is expected of them.
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
    other_size: float = 0.5
    other_place: float = 0.3
    remember_s: float = 6.0
    known_within: float = 1.2
    known_fit: float = -3.0
    edge_margin: float = 0.02


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
_ANY_FIT = 5.0  # a pose that fits worse by more is better left over, if another fits the track
# Who was in sight just now is more likely to be seen again than who is out of sight: the logarithm of the odds.
_IN_SIGHT, _IN_SIGHT_S = 4.0, 0.15
_AS_WIDE = 0.8
_GLIMPSE = 0.25  # a pose is rather that of somebody who counts as a person than of one seen once or twice


class Tracker:
    """Follows everybody in one camera's view.

    Poses are paired with people by how well they fit what is expected of each (place, size, joints: see `motion`),
    solved as one assignment (Hungarian method). A pose that jumps, shrinks or touches nobody starts a track of its own,
    which must be seen a few times before it counts. Somebody lost inside the picture is remembered for a while: where
    they could be by now, a new track gets their id back.

    Args:
        settings: what counts as one person.
    """

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self._settings = settings or TrackSettings()
        self._next_person = 1
        self.tracks: list[Track] = []
        self._remembered: list[Track] = []

    def update(self, frame: PoseFrame) -> list[Track]:
        """Take one frame's poses in.

        Args:
            frame: the next frame of the same camera, in order of capture time.

        Returns:
            The tracks that ended with this frame; the living ones are in `tracks`.
        """
        ended = self._end_lost(frame)
        self._remember(ended, frame)
        sightings = self._people(frame)
        pairs = self._match(sightings, frame=frame)
        followed = {i: track for i, track in pairs.items() if not track.ended}
        for i, track in followed.items():
            self._follow(track, sightings[i])
        taken = [sightings[i] for i in followed]
        for i, sighting in enumerate(sightings):
            if i not in followed and self._may_begin(sighting, taken, frame):
                self._begin(sighting, known=pairs.get(i))
                taken.append(sighting)
        return ended

    def reset(self) -> None:
        """Forget everybody; ids are not used again."""
        self.tracks, self._remembered = [], []

    def forget(self, track: Track) -> None:
        """Follow somebody no longer, and do not know them again: another track is, or may be, the same person."""
        self.tracks = [other for other in self.tracks if other is not track]
        self._remembered = [other for other in self._remembered if other is not track]
        for other in self.tracks:
            if other.person == track.person:  # was known again in the very frame in which the track ended
                other.person, self._next_person = self._next_person, self._next_person + 1

    def _people(self, frame: PoseFrame) -> list[Sighting]:
        """Drop poses that are nobody, and the weaker of two poses on one body; the surest first."""
        found = []
        for pose in (without_far_joints(pose, frame) for pose in frame.poses):
            box = box_of(pose)
            if box is not None and box.longer_side >= self._settings.min_side_kept * frame.height_px:
                found.append(Sighting(frame.time_s, pose, box))
        found.sort(key=lambda s: -float(s.pose.score.mean()))
        kept: list[Sighting] = []
        for sighting in found:
            if all(same_body(sighting, other) < self._settings.same_person_overlap for other in kept):
                kept.append(sighting)
        return kept

    def _may_begin(self, sighting: Sighting, taken: Sequence[Sighting], frame: PoseFrame) -> bool:
        """Say whether a pose may be somebody new: large enough, and no second, different pose of somebody there."""
        most = self._settings.same_person_overlap
        large = sighting.box.longer_side >= self._settings.min_side * frame.height_px
        return large and all(iou(sighting.box, other.box) < most for other in taken)

    def _match(self, sightings: Sequence[Sighting], *, frame: PoseFrame) -> dict[int, Track]:
        """Pair poses with tracks, living and remembered, so that all together fit best; forbidden pairs stay apart."""
        living = {track.person for track in self.tracks}
        tracks = [*self.tracks, *(track for track in self._remembered if track.person not in living)]
        gain = np.zeros((len(sightings), len(tracks)))
        for j, track in enumerate(tracks):
            motion = _motion(track)
            for i, sighting in enumerate(sightings):
                if track.ended:
                    gain[i, j] = self._known_again(sighting, motion)
                else:
                    gain[i, j] = self._likeness(sighting, motion, frame, confirmed=track.confirmed)
        rows, columns = linear_sum_assignment(-gain)
        return {int(i): tracks[j] for i, j in zip(rows, columns, strict=True) if gain[i, j] > 0}

    def _likeness(self, sighting: Sighting, motion: Motion, frame: PoseFrame, *, confirmed: bool) -> float:
        """How well a pose continues a track: 0 if it cannot, else more for a better fit."""
        last, s = motion.last, self._settings
        gap_s = sighting.time_s - last.time_s
        # Who was last seen at an edge comes back there; anything farther in is somebody or something else.
        at_edge = self.touches_edge(last.box, frame)
        reach = min(s.max_jump + (0.0 if at_edge else s.jump_speed * gap_s), s.max_reach)
        if way_off(motion, sighting) > reach or sighting.box.longer_side < s.min_shrink * motion.body_px:
            return 0.0
        if self._is_other(sighting, motion):
            return 0.0
        in_sight = _IN_SIGHT if confirmed and gap_s < _IN_SIGHT_S else 0.0
        well = max(1e-3, fit(motion, sighting) + shape_fit(motion, sighting) + in_sight + _ANY_FIT)
        return well if confirmed else _GLIMPSE * well

    def _known_again(self, sighting: Sighting, motion: Motion) -> float:
        """How well a pose is that of somebody remembered: 0 if it cannot be, else more for a better fit."""
        s = self._settings
        well = fit(motion, sighting)
        known = way_off(motion, sighting) < s.known_within and well > s.known_fit
        return max(1e-3, well + _ANY_FIT) if known and not self._is_other(sighting, motion) else 0.0

    def _is_other(self, sighting: Sighting, motion: Motion) -> bool:
        """Say whether a pose is of somebody of another size who is not quite there.

        Who falls towards the camera or away from it comes down and looks shorter, but no narrower, as a child would.
        """
        size = size_change(motion, sighting) or 0.0
        last = motion.last.box
        if size < 0 and sighting.box.y0 > last.y0 and sighting.box.width > _AS_WIDE * last.width:
            return False
        return way_off(motion, sighting) > self._settings.other_place and abs(size) > self._settings.other_size

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

    def _begin(self, sighting: Sighting, *, known: Track | None) -> None:
        """Begin a track; who was lost here a while ago keeps their id, and has to be seen as often as anybody new."""
        person = self._next_person if known is None else known.person
        self._next_person = max(self._next_person, person + 1)
        self.tracks.append(Track(person, [sighting], sighting.box.longer_side, started_s=sighting.time_s))

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

    def _remember(self, ended: Sequence[Track], frame: PoseFrame) -> None:
        """Remember those lost inside the picture for a while; who went out of it is somebody new when they come."""
        again = {track.person for track in self.tracks if track.confirmed}
        lost = [track for track in ended if track.confirmed and track.ended == "gap"]
        stayed = [track for track in lost if not goes_out(_motion(track), now_s=frame.time_s, width_px=frame.width_px)]
        since_s = frame.time_s - self._settings.remember_s
        kept = [*self._remembered, *stayed]
        self._remembered = [t for t in kept if t.last.time_s >= since_s and t.person not in again]

    def touches_edge(self, box: Box, frame: PoseFrame) -> bool:
        """Say whether a box touches the left or right edge, the ways people leave a room's picture."""
        margin = self._settings.edge_margin * frame.width_px
        return box.x0 < margin or box.x1 > frame.width_px - margin


def _motion(track: Track) -> Motion:
    return motion_of(track.sightings, body_px=track.body_px)


@dataclass(slots=True)
class Followed:
    """A track or a person of a recording.

    Attributes:
        person: the id.
        sightings: by the number of the frame, in order.
        confirmed: the track counted as a person.
    """

    person: int
    sightings: dict[int, Sighting] = field(default_factory=dict)
    confirmed: bool = False


def follow_tracks(frames: Iterable[PoseFrame]) -> list[Followed]:
    """Follow everybody through a whole recording, as the service would; one for each track, in the order they began."""
    tracker, tracks = Tracker(), dict[tuple[int, float], Followed]()
    for number, frame in enumerate(frames):
        tracker.update(frame)
        for track in tracker.tracks:
            followed = tracks.setdefault((track.person, track.started_s), Followed(track.person))
            followed.confirmed |= track.confirmed
            if track.last.time_s == frame.time_s:
                followed.sightings[number] = track.last
    return list(tracks.values())


def follow(frames: Iterable[PoseFrame]) -> list[Followed]:
    """Follow everybody through a whole recording; one for each person, in the order they began, then all glimpses.

    Who is lost and known again is one person; a track that never counted as a person is a glimpse.
    """
    people, glimpses = dict[int, Followed](), list[Followed]()
    for track in follow_tracks(frames):
        if track.confirmed:
            people.setdefault(track.person, track).sightings.update(track.sightings)
        else:
            glimpses.append(track)
    return [*people.values(), *glimpses]
