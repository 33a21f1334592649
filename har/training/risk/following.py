"""Recordings as the tracker follows people through them: one clip a track, with the gaps and losses that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from har.clips import Clip, Span
from har.records import Pose, PoseFrame
from har.track import Sighting, follow_tracks

FALL_LABEL = "fall"
WATCHED_AFTER_S = 8.0
"""Somebody lost from sight is still asked about for so long."""


def follow_clips(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Give each confirmed track of recordings as a clip of one person, on the recording's clock.

    Of a recording of a fall only the one who comes down is given, since nothing says what is true of the others.

    Args:
        clips: (T, M, 17, 3) each, in pixels; who is who in them is not used.
    """
    for clip in clips:
        tracks, falls = _tracks(clip), [span for span in clip.spans if span[2] == FALL_LABEL]
        for number, sightings in enumerate(_faller(tracks, falls[0]) if falls else tracks):
            yield _clip_of(clip, sightings, number=number)


def _tracks(clip: Clip) -> list[list[Sighting]]:
    """Follow everybody; give the sightings of each track that counted as a person."""
    return [list(person.sightings.values()) for person in follow_tracks(_frames(clip)) if person.confirmed]


def _faller(tracks: Sequence[list[Sighting]], fall: Span) -> list[list[Sighting]]:
    """Give the track whose box came down most in a fall, alone; none if nobody was seen then."""

    def came_down(sightings: Sequence[Sighting]) -> float:
        tops = [sighting.box.y0 for sighting in sightings if fall[0] - 1.0 <= sighting.time_s <= fall[1] + 1.0]
        size = max(sighting.box.longer_side for sighting in sightings)
        return (max(tops) - tops[0]) / size if tops else -1.0

    best = max(tracks, key=came_down, default=None)
    return [] if best is None or came_down(best) < 0 else [best]


def _frames(clip: Clip) -> Iterator[PoseFrame]:
    is_there = np.isfinite(clip.joints[..., :2]).all(axis=-1)  # (T, M, V)
    seen = np.asarray(is_there.any(axis=-1))
    for number, time_s in enumerate(clip.time_s.tolist()):
        poses = tuple(
            Pose(xy=clip.joints[number, m, :, :2], score=clip.joints[number, m, :, 2])
            for m in np.flatnonzero(seen[number])
        )
        yield PoseFrame(clip.camera or clip.id, time_s, time_s, clip.width_px or 640, clip.height_px or 480, poses)


def _clip_of(clip: Clip, sightings: list[Sighting], *, number: int) -> Clip:
    first, last = np.searchsorted(clip.time_s, (sightings[0].time_s, sightings[-1].time_s + WATCHED_AFTER_S))
    time_s = clip.time_s[first:last]
    joints = np.full((len(time_s), 1, *clip.joints.shape[2:]), np.nan, dtype=np.float32)
    joints[..., 2] = 0.0
    at = np.searchsorted(time_s, [sighting.time_s for sighting in sightings])
    joints[at, 0, :, :2] = [sighting.pose.xy for sighting in sightings]
    joints[at, 0, :, 2] = [sighting.pose.score for sighting in sightings]
    return replace(clip, id=f"{clip.id}#{number}", joints=joints, time_s=time_s, subject=clip.subject or clip.id)
