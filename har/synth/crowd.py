"""What a pose estimator makes of several people in one picture: who hides whom, and where two bodies become one.

A body hides another's joint where the line of sight to the joint passes through one of its parts nearer to the camera
(the capsules of `noise`), and furniture hides what is behind its boxes. Such joints get no score; with more than
`LOST_SHARE` of the joints hidden or outside there is no pose at all, and with somewhat fewer it is mostly lost.

Where the boxes of two bodies overlap by more than `MERGE_IOU`, an estimator confuses them for moments (detectors give
up one of two boxes that overlap by about half): it gives the nearer body only, or the nearer body with an arm, the legs
or the trunk of the farther one, or both poses on the nearer body. How often and how long is the project's own estimate:
nobody's measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from har.records import FloatArray
from har.synth.body import N_COCO, Array, Body, P
from har.synth.camera import Camera
from har.synth.noise import BoolArray, Weather, behind_body, behind_boxes, observe
from har.synth.shapes import Box

LOST_SHARE = 0.8
"""Of the joints hidden or outside the picture: nobody finds a body in so little of it."""
MERGE_IOU = 0.4
MERGES_HZ = 1.5
"""How often two bodies that overlap begin to be confused."""
MERGE_S = 0.4
_MERGES = {"one": 0.5, "mixed": 0.3, "double": 0.2}
_MIXED_PARTS = ((5, 7, 9), (6, 8, 10), (11, 12, 13, 14, 15, 16), (0, 1, 2, 3, 4, 5, 6))
_BEHIND_SCORE = 0.15  # of the score that a joint behind somebody would have: below `records.SEEN_SCORE`


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One of several people.

    Attributes:
        body: proportions.
        points: (T, P, 3) metres in the room.
        labels: (T,) what is done.
    """

    body: Body
    points: Array
    labels: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What there is to be seen of some people, exactly.

    Attributes:
        xy: (T, M, 17, 2) pixels; NaN behind the camera.
        inside: (T, M, 17) the joint is in the picture.
        free: (T, M, 17) nobody else and no furniture is before it.
        depth_m: (T, M) metres from the camera to the pelvis.
    """

    xy: Array
    inside: BoolArray
    free: BoolArray
    depth_m: Array

    @property
    def seen(self) -> BoolArray:
        """(T, M, 17) whether a joint is in the picture with nothing before it."""
        return self.inside & self.free


def look(people: Sequence[Member], *, camera: Camera, boxes: Sequence[Box]) -> Sight:
    """Give what a camera could see of some people.

    Args:
        people: all on one clock.
        camera: which looks.
        boxes: furniture.
    """
    projected = [camera.project(member.points) for member in people]
    xy = np.stack([pixels[:, :N_COCO] for pixels, _ in projected], axis=1)
    size = np.array([camera.width_px, camera.height_px])
    with np.errstate(invalid="ignore"):
        inside = np.asarray(((xy >= 0) & (xy < size)).all(axis=-1))
    free = np.ones_like(inside)
    for m, member in enumerate(people):
        joints = member.points[:, :N_COCO]
        hidden = behind_boxes(joints, boxes, camera=camera)
        for other in people:
            if other is not member:
                hidden |= behind_body(joints, other.points, body=other.body, camera=camera)
        free[:, m] = ~hidden
    depth_m = np.stack([depth[:, P["pelvis"]] for _, depth in projected], axis=1)
    return Sight(xy, inside, free, depth_m)


def observe_together(
    people: Sequence[Member], sight: Sight, *, camera: Camera, rate_hz: float, weather: Weather,
    rng: np.random.Generator, boxes: Sequence[Box],
) -> FloatArray:  # fmt: skip
    """Give the COCO-17 joints that an estimator would report of people in one picture.

    Args:
        people: all on one clock.
        sight: what there is to be seen of them.
        camera: which looks.
        rate_hz: frames per second.
        weather: how hard the clip is.
        rng: source of the noise.
        boxes: furniture.

    Returns:
        (T, M, 17, 3) x and y in pixels and score; NaN and 0 where somebody has no pose.
    """
    found = []
    for m, member in enumerate(people):
        behind = ~sight.free[:, m]
        joints = observe(member.points, member.labels, body=member.body, camera=camera, rate_hz=rate_hz,
                         weather=weather, rng=rng, boxes=boxes, behind=behind, foreground=False)  # fmt: skip
        joints[..., 2] = np.where(behind, joints[..., 2] * _BEHIND_SCORE, joints[..., 2])
        _lose(joints, 1 - sight.seen[:, m].mean(axis=1) > LOST_SHARE)
        found.append(joints)
    joints = np.stack(found, axis=1)
    for one, other in combinations(range(len(people)), 2):
        _confuse(joints, sight, one, other, rate_hz=rate_hz, rng=rng)
    return joints


def _lose(joints: FloatArray, lost: BoolArray) -> None:
    joints[lost] = (np.nan, np.nan, 0.0)


def _confuse(
    joints: FloatArray, sight: Sight, one: int, other: int, *, rate_hz: float, rng: np.random.Generator
) -> None:
    """Let two people who overlap be taken for one at times; changes `joints`."""
    in_the_way = overlap(sight.xy[:, one], sight.xy[:, other]) > MERGE_IOU
    chance = rng.random(len(in_the_way))
    ends_at, way, part = -1, "", tuple[int, ...]()
    for t in np.flatnonzero(in_the_way).tolist():
        if t > ends_at:
            if chance[t] > MERGES_HZ / rate_hz:
                continue
            ends_at = t + int(rng.exponential(MERGE_S) * rate_hz)
            way = str(rng.choice(list(_MERGES), p=list(_MERGES.values())))
            part = _MIXED_PARTS[rng.integers(len(_MIXED_PARTS))]
        near, far = (one, other) if sight.depth_m[t, one] < sight.depth_m[t, other] else (other, one)
        _merge(joints[t], near, far, way=way, part=part, rng=rng)


def _merge(
    joints: FloatArray, near: int, far: int, *, way: str, part: tuple[int, ...], rng: np.random.Generator
) -> None:
    """Make one body of two in one frame (M, 17, 3); changes `joints`."""
    if np.isnan(joints[[near, far], 0, 0]).any():
        return
    if way == "double":
        shaken = 0.02 * float(np.ptp(joints[near, :, 1]))
        joints[far, :, :2] = joints[near, :, :2] + rng.normal(0, shaken, (N_COCO, 2))
        joints[far, :, 2] = 0.8 * joints[near, :, 2]
        return
    if way == "mixed":
        joints[near, list(part)] = joints[far, list(part)]
    joints[far] = (np.nan, np.nan, 0.0)


def overlap(one: Array, other: Array) -> Array:
    """Give (T,) the intersection over union of two bodies' boxes.

    Args:
        one: (T, 17, 2) pixels.
        other: (T, 17, 2) pixels.
    """
    with np.errstate(invalid="ignore"):
        low, high = np.maximum(one.min(axis=1), other.min(axis=1)), np.minimum(one.max(axis=1), other.max(axis=1))
        shared = np.maximum(high - low, 0.0).prod(axis=-1)
        both = np.ptp(one, axis=1).prod(axis=-1) + np.ptp(other, axis=1).prod(axis=-1) - shared
        return np.asarray(np.nan_to_num(shared / np.maximum(both, 1e-9)))
