"""One pose of one person, and how alike two are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from har.likeness import oks, seen_joints
from har.records import Pose, PoseFrame
from har.windows import FRAME_MARGIN

_FLIPPED = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
_TRUNK = np.array([5, 6, 11, 12])
_BONES = np.array([[11, 13], [12, 14], [13, 15], [14, 16]])
# Of the stature, as in the body model of `har.synth.body`: from the middle of the shoulders to that of the hips, thigh,
# shin.
_TRUNK_SHARE, _BONE_SHARE = 0.288, np.array([0.245, 0.245, 0.246, 0.246])


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


def box_of(pose: Pose) -> Box | None:
    """Give the box round the joints seen; None if fewer than four are, or if it has no area."""
    seen = seen_joints(pose)
    if int(seen.sum()) < 4:
        return None
    (x0, y0), (x1, y1) = pose.xy[seen].min(axis=0), pose.xy[seen].max(axis=0)
    box = Box(float(x0), float(y0), float(x1), float(y1))
    return box if box.width > 1.0 and box.height > 1.0 else None


def without_far_joints(pose: Pose, frame: PoseFrame) -> Pose:
    """Take joints far outside the picture for not seen: they are guesses, and would make the body longer than it is."""
    size = np.array([frame.width_px, frame.height_px], dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        near = (np.abs(pose.xy - size / 2) <= size * (0.5 + FRAME_MARGIN)).all(axis=1)
    return pose if near.all() else replace(pose, score=np.where(near, pose.score, np.float32(0)))


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def same_body(a: Sighting, b: Sighting) -> float:
    """Say how much two poses of one frame are on one body: their OKS, also with left and right exchanged in one."""
    flipped = replace(b.pose, xy=b.pose.xy[_FLIPPED], score=b.pose.score[_FLIPPED])
    return max(oks(a.pose, b.pose), oks(a.pose, flipped))


@lru_cache(maxsize=256)
def trunk_of(sighting: Sighting) -> tuple[float, float]:
    """Give the middle of shoulders and hips, pixels; of the box where they are not all seen."""
    if not seen_joints(sighting.pose)[_TRUNK].all():
        return sighting.box.centre
    x, y = sighting.pose.xy[_TRUNK].astype(np.float64).mean(axis=0).tolist()
    return x, y


def moved_by(before: Sighting, now: Sighting) -> tuple[float, float]:
    """Give how far most joints that are seen in both poses have moved, pixels; the boxes if none are."""
    both = seen_joints(before.pose) & seen_joints(now.pose)
    if not both.any():
        (x0, y0), (x, y) = before.box.centre, now.box.centre
        return x - x0, y - y0
    x, y = np.median(now.pose.xy[both].astype(np.float64) - before.pose.xy[both], axis=0).tolist()
    return x, y


@lru_cache(maxsize=256)
def stature_of(sighting: Sighting) -> float | None:
    """Give the stature that the trunk, thighs and shins seen belong to, pixels; None if fewer than two are seen.

    Parts that point at the camera look short, so the longer ones count: the mean of the two largest answers.
    """
    seen, xy = seen_joints(sighting.pose), sighting.pose.xy.astype(np.float64)
    answers = []
    if seen[_TRUNK].all():
        answers.append(float(np.linalg.norm(xy[5] + xy[6] - xy[11] - xy[12])) / 2 / _TRUNK_SHARE)
    whole = seen[_BONES].all(axis=1)
    lengths = np.linalg.norm(xy[_BONES[whole, 0]] - xy[_BONES[whole, 1]], axis=1) / _BONE_SHARE[whole]
    answers += lengths.tolist()
    return float(np.mean(sorted(answers)[-2:])) if len(answers) >= 2 else None
