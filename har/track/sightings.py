"""One pose of one person, and how alike two are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from har.records import SEEN_SCORE, FloatArray, Pose, PoseFrame
from har.windows import FRAME_MARGIN

OKS_FALLOFF = 2.0 * np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
     0.089],
    dtype=np.float32,
)  # fmt: skip
"""COCO's per-joint falloff, 2 sigma (cocodataset.org, keypoint evaluation)."""

_FARTHEST_PX = 1e5
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
    seen = _seen(pose)
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


def same_body(a: Sighting, b: Sighting) -> float:
    """Say how much two poses of one frame are on one body: their OKS, also with left and right exchanged in one."""
    flipped = replace(b.pose, xy=b.pose.xy[_FLIPPED], score=b.pose.score[_FLIPPED])
    return max(oks(a.pose, b.pose), oks(a.pose, flipped))


@lru_cache(maxsize=256)
def trunk_of(sighting: Sighting) -> tuple[float, float]:
    """Give the middle of shoulders and hips, pixels; of the box where they are not all seen."""
    if not _seen(sighting.pose)[_TRUNK].all():
        return sighting.box.centre
    x, y = sighting.pose.xy[_TRUNK].astype(np.float64).mean(axis=0).tolist()
    return x, y


def moved_by(before: Sighting, now: Sighting) -> tuple[float, float]:
    """Give how far most joints that are seen in both poses have moved, pixels; the boxes if none are."""
    both = _seen(before.pose) & _seen(now.pose)
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
    seen, xy = _seen(sighting.pose), sighting.pose.xy.astype(np.float64)
    answers = []
    if seen[_TRUNK].all():
        answers.append(float(np.linalg.norm(xy[5] + xy[6] - xy[11] - xy[12])) / 2 / _TRUNK_SHARE)
    whole = seen[_BONES].all(axis=1)
    lengths = np.linalg.norm(xy[_BONES[whole, 0]] - xy[_BONES[whole, 1]], axis=1) / _BONE_SHARE[whole]
    answers += lengths.tolist()
    return float(np.mean(sorted(answers)[-2:])) if len(answers) >= 2 else None
