"""Whether everybody in real videos has a pose of their own, above all who lies on the floor; and how long ghosts last.

An estimator sees each video from its first frame to its last, as in the service, and is held against what was marked by
eye in some of the frames. A pose is on a person if at least half of the joints seen lie in the person's box, widened by
a tenth on each side; nobody is given two poses, no pose two people. The overlap of boxes would ask for more: a lying
body is often half hidden, and a pose that shows the half to be seen is right. It is counted too, for comparison.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from har.bench.contenders import Contender
from har.bench.people_csv import LYING, RESIDENT, Marked, find_videos
from har.bench.pose_quality import share_text
from har.bench.recordings import PoseSettings, video_frames
from har.errors import AnnotationError
from har.pose.metrics import seen
from har.records import Pose, PoseFrame
from har.track import Box, box_of, follow, iou
from har.training.bounds import share_interval
from har.training.truth import read_truth

INSIDE = 0.5
"""A pose is on a person if at least this share of the joints seen lies in the person's box..."""
WIDER = 0.1
"""... made larger by this share of its width and height on each side."""
STRICT_IOU = 0.3
NOBODYS_IOU = 0.1
FLICKER_S = 0.25
"""A ghost that is gone for no longer than this is one ghost."""

Tell: TypeAlias = Callable[[int, int], None]
People: TypeAlias = Mapping[str, Mapping[int, Sequence[Marked]]]


@dataclass(frozen=True, slots=True, eq=False)
class Wrong:
    """One marked frame in which an estimator was wrong.

    Attributes:
        kind: a key of TOLD.
        video: as the table names it.
        number: of the frame, from 0.
        box: of the person lost, or of the pose on nobody.
        people: everybody marked there.
        poses: what the estimator saw.
    """

    TOLD: ClassVar[Mapping[str, str]] = {
        "lost": "who lies there has no pose",
        "moved": "the track of who lies there is on somebody else",
        "ghost": "a pose on nobody",
    }

    kind: str
    video: str
    number: int
    box: Box
    people: tuple[Marked, ...]
    poses: tuple[Pose, ...]


@dataclass(slots=True)
class Tally:
    """What was counted in the videos of one group.

    Attributes:
        frames: frames marked.
        resting: frames in which the resident lies without having fallen.
        resting_right: of these, with a pose on the resident.
        lying: frames in which the resident lies after a fall.
        right: of these, with a pose on the resident.
        strict: of these, with one whose box overlaps theirs, too.
        elsewhere: lying frames in which a track that was on the resident is on somebody else.
        on_object: lying frames in which the resident has no pose, but a pose is on nobody.
        both: frames in which the two people are there who are there most in the video.
        both_seen: of these, with a pose on each.
        several: frames with two people or more.
        all_seen: of these, with a pose on each.
        haunted: frames with a pose on nobody.
        ghost_s: the longest time that a pose stood in an empty room.
        left_ghost_s: the same, after somebody left.
        tracked_ghost_s: the longest, before and after, of tracks that count as a person.
        empty: frames marked as empty.
        videos: their names.
        wrong: frames in which somebody lies without a pose, a track is on somebody else, or a pose on nobody.
    """

    frames: int = 0
    resting: int = 0
    resting_right: int = 0
    lying: int = 0
    right: int = 0
    strict: int = 0
    elsewhere: int = 0
    on_object: int = 0
    both: int = 0
    both_seen: int = 0
    several: int = 0
    all_seen: int = 0
    haunted: int = 0
    ghost_s: float = 0.0
    left_ghost_s: float = 0.0
    tracked_ghost_s: float = 0.0
    empty: int = 0
    videos: list[str] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)


def judge_videos(
    people: People, contenders: Sequence[Contender], *, data: Path, tell: Tell
) -> tuple[dict[str, Any], dict[str, list[Wrong]]]:
    """Give the figures of each estimator, by set and camera, and the frames in which each was wrong.

    Args:
        people: who is where, as of `har.bench.people_csv.read_people`.
        contenders: who is judged.
        data: the folder that the names of videos start from; its `fall_times.csv`, where there is one, says who lies
            after a fall, and from when on; without it, everybody who lies has fallen.
        tell: called with videos done and all.

    Raises:
        AnnotationError: a video is not there, or shorter than a frame that is marked.
        SourceError: a video cannot be read.
    """
    files = find_videos(list(people), data)
    times = data / "fall_times.csv"
    ground_s = {row.source: row.ground_s for row in read_truth(times) if row.is_fall} if times.is_file() else None
    rows, wrong, done = [], dict[str, list[Wrong]](), 0
    for contender in contenders:
        tallies: dict[str, Tally] = {}
        for (video, marks), file in zip(people.items(), files, strict=True):
            tell(done, len(files) * len(contenders))
            frames = video_frames(file, pose=PoseSettings(contender.name, contender.most_people))
            if max(marks) >= len(frames):
                raise AnnotationError(f"{file}: frame {max(marks)} is marked, but it has only {len(frames)} frames.")
            tally = tallies.setdefault(_group(video), Tally())
            count_video(
                tally, video, frames, marks, ground_s=0.0 if ground_s is None else ground_s.get(video, math.inf)
            )
            done += 1
        rows.append({"estimator": contender.name, "groups": {name: _row(each) for name, each in tallies.items()}})
        wrong[contender.name] = [each for tally in tallies.values() for each in tally.wrong]
    tell(done, done)
    return {"name": "people in videos", "videos": len(people), "rows": rows}, wrong


def _group(video: str) -> str:
    """Name what a video is counted with: its set (the first folder) and, where its name tells, its camera."""
    path = Path(video)
    camera = re.search(r"_C(\d+)$", path.stem)
    folder = path.parts[0] if len(path.parts) > 1 else "videos"
    return f"{folder} camera {camera[1]}" if camera else folder


def count_video(
    tally: Tally, video: str, frames: Sequence[PoseFrame], marks: Mapping[int, Sequence[Marked]], *, ground_s: float
) -> None:
    """Add one video's frames, poses and all, to what was counted."""
    tally.videos.append(video)
    tracks = _tracks(frames)
    first_on: dict[int, str] = {}
    pair = [person for person, _ in Counter(each.person for there in marks.values() for each in there).most_common(2)]
    for number, people in marks.items():
        poses = frames[number].poses
        ghosts = [pose for pose in poses if _is_on_nobody(pose, people)]
        moved = _follow_tracks(first_on, people, tracks.get(number, {}))
        wrong = partial(Wrong, video=video, number=number, people=tuple(people), poses=poses)
        tally.wrong += [wrong("ghost", box=box) for box in map(box_of, ghosts[:1]) if box]
        tally.frames += 1
        tally.haunted += bool(ghosts)
        on = assign(people, poses)
        at_home = [place for place, each in enumerate(people) if each.person in pair]
        tally.both += len(at_home) == 2
        tally.both_seen += len(at_home) == 2 and all(place in on for place in at_home)
        tally.several += len(people) > 1
        tally.all_seen += len(people) > 1 and len(on) == len(people)
        for place, each in enumerate(people):
            if each.who != RESIDENT or each.state != LYING:
                continue
            if frames[number].source_time_s < ground_s:
                tally.resting += 1
                tally.resting_right += place in on
                continue
            tally.lying += 1
            tally.right += place in on
            tally.strict += place in on and _overlap(each.box, poses[on[place]]) >= STRICT_IOU
            tally.on_object += place not in on and bool(ghosts)
            tally.elsewhere += each.person in moved
            kinds = (("lost", place not in on), ("moved", each.person in moved))
            tally.wrong += [wrong(kind, box=each.box) for kind, is_so in kinds if is_so]
    _count_ghosts(tally, frames, marks, tracks)


def assign(people: Sequence[Marked], poses: Sequence[Pose]) -> dict[int, int]:
    """Say which pose is whose, by their places in the sequences; people without a pose are left out."""
    if not people or not poses:
        return {}
    inside = np.array([[_share_inside(each.box, pose) for pose in poses] for each in people])
    over = np.array([[_overlap(each.box, pose) for pose in poses] for each in people])
    likeness = np.where(inside >= INSIDE, inside + over, 0)  # (people, poses)
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {person: pose for person, pose in pairs if likeness[person, pose] > 0}


def _share_inside(box: Box, pose: Pose) -> float:
    """Give the share of the joints seen that lie in a box made wider."""
    places = pose.xy[seen(pose)]
    if not len(places):
        return 0.0
    spare = np.array([box.width, box.height]) * WIDER
    inside = (places >= np.array([box.x0, box.y0]) - spare) & (places <= np.array([box.x1, box.y1]) + spare)
    return float(inside.all(axis=1).mean())


def _overlap(box: Box, pose: Pose) -> float:
    of_pose = box_of(pose)
    return 0.0 if of_pose is None else iou(box, of_pose)


def _is_on_nobody(pose: Pose, people: Sequence[Marked]) -> bool:
    return all(_share_inside(each.box, pose) < INSIDE and _overlap(each.box, pose) < NOBODYS_IOU for each in people)


def _tracks(frames: Sequence[PoseFrame]) -> dict[int, dict[int, Pose]]:
    """Give, for each frame, the poses of tracks that count as a person, by the number of the track."""
    tracks: dict[int, dict[int, Pose]] = {}
    for track, followed in enumerate(follow(frames)):
        for number, sighting in followed.sightings.items() if followed.confirmed else ():
            tracks.setdefault(number, {})[track] = sighting.pose
    return tracks


def _follow_tracks(first_on: dict[int, str], people: Sequence[Marked], tracks: Mapping[int, Pose]) -> set[str]:
    """Note on whom each track is first seen; give those whose track is on somebody else now."""
    numbers = list(tracks)
    moved = set()
    for place, which in assign(people, [tracks[number] for number in numbers]).items():
        person = first_on.setdefault(numbers[which], people[place].person)
        if person != people[place].person:
            moved.add(person)
    return moved


def _count_ghosts(
    tally: Tally,
    frames: Sequence[PoseFrame],
    marks: Mapping[int, Sequence[Marked]],
    tracks: Mapping[int, Mapping[int, Pose]],
) -> None:
    """Find the longest time of poses in an empty room: between frames marked as empty with no other between them."""
    tally.empty += sum(not people for people in marks.values())
    a_frame_s = (frames[-1].source_time_s - frames[0].source_time_s) / max(len(frames) - 1, 1)
    for first, last in _empty_stretches(marks):
        stretch = range(first, last + 1)
        posed = [frames[number].source_time_s for number in stretch if frames[number].poses]
        tracked = [frames[number].source_time_s for number in stretch if tracks.get(number)]
        ghost_s = _longest_s(posed, a_frame_s=a_frame_s)
        tally.ghost_s = max(tally.ghost_s, ghost_s)
        if first > min(marks):  # somebody was there before
            tally.left_ghost_s = max(tally.left_ghost_s, ghost_s)
        tally.tracked_ghost_s = max(tally.tracked_ghost_s, _longest_s(tracked, a_frame_s=a_frame_s))


def _empty_stretches(marks: Mapping[int, Sequence[Marked]]) -> list[tuple[int, int]]:
    """Give first and last frame of each stretch in which every marked frame is empty."""
    stretches: list[tuple[int, int]] = []
    was_empty = False
    for number, people in marks.items():
        if not people:
            first = stretches.pop()[0] if was_empty else number
            stretches.append((first, number))
        was_empty = not people
    return stretches


def _longest_s(times_s: Sequence[float], *, a_frame_s: float) -> float:
    """Give the longest time that something was there, seen at these times; one frame alone lasts a frame."""
    longest_s, start_s, last_s = 0.0, float("-inf"), float("-inf")
    for time_s in times_s:
        if time_s - last_s > FLICKER_S:
            start_s = time_s
        last_s = time_s
        longest_s = max(longest_s, last_s - start_s + a_frame_s)
    return longest_s


def _row(tally: Tally) -> dict[str, Any]:
    counts = {
        "on_the_right_body": (tally.right, tally.lying),
        "on_the_right_body_iou": (tally.strict, tally.lying),
        "resting_on_the_right_body": (tally.resting_right, tally.resting),
        "track_on_somebody_else": (tally.elsewhere, tally.lying),
        "lost_and_pose_on_an_object": (tally.on_object, tally.lying),
        "both_have_a_pose": (tally.both_seen, tally.both),
        "everybody_has_a_pose": (tally.all_seen, tally.several),
        "frames_with_a_ghost": (tally.haunted, tally.frames),
    }
    return {
        "videos": len(tally.videos),
        "frames": tally.frames,
        "empty_frames": tally.empty,
        **{name: _share(found, n) for name, (found, n) in counts.items()},
        "longest_ghost_s": round(tally.ghost_s, 2) if tally.empty else None,
        "longest_ghost_after_somebody_left_s": round(tally.left_ghost_s, 2) if tally.empty else None,
        "longest_tracked_ghost_s": round(tally.tracked_ghost_s, 2) if tally.empty else None,
    }


def _share(found: int, n: int) -> dict[str, Any]:
    return {"found": found, "n": n, "share": found / n if n else None, "interval": list(share_interval(found, n))}


_GHOSTS = {
    "longest ghost after somebody left": "longest_ghost_after_somebody_left_s",
    "longest ghost in an empty room": "longest_ghost_s",
    "  ... as a track that counts": "longest_tracked_ghost_s",
}


def as_text(result: Mapping[str, Any]) -> str:
    """Write the figures for people, and how they came about."""
    return "\n".join([figures_text(result), "", *how_measured()])


def figures_text(result: Mapping[str, Any]) -> str:
    """Write the figures for people."""
    shown = {
        "lying after a fall: on the right body": "on_the_right_body",
        f"  ... and boxes overlap (IoU >= {STRICT_IOU:g})": "on_the_right_body_iou",
        "  their track is on somebody else": "track_on_somebody_else",
        "  lost, and a pose on an object": "lost_and_pose_on_an_object",
        "lying without a fall: on the right body": "resting_on_the_right_body",
        "the two there most: each has a pose": "both_have_a_pose",
        "two or more people: each has a pose": "everybody_has_a_pose",
        "frames with a pose on nobody": "frames_with_a_ghost",
    }
    lines = [f"{result['videos']} videos"]
    for row in result["rows"]:
        for name, group in row["groups"].items():
            lines += ["", f"{row['estimator']}, {name}: {group['frames']} frames of {group['videos']} videos"]
            for told, key in shown.items():
                if group[key]["n"]:
                    lines.append(f"  {told:42}{share_text(group[key])}")
            if group["empty_frames"]:
                lines += [f"  {told:42}{group[key]:.2f} s" for told, key in _GHOSTS.items()]
    return "\n".join(lines)


def how_measured() -> list[str]:
    """Say how the figures came about, a line each."""
    return [
        f"On a body: {INSIDE:.0%} or more of the joints seen lie in its box, widened by {WIDER:.0%} on each side.",
        "On an object: in nobody's box. Their track: one that was first on the fallen person in a marked frame.",
        "In brackets the exact 95 % interval; frames of one video are alike, so the truth may lie further off.",
    ]
