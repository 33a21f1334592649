"""How near poses are to annotated people: joint by joint (OKS, PDJ, PCK) and who belongs to whom.

The measures of whole sets (AP, AR) are COCO's own program's: see `har.pose.coco_protocol`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from graphs.layouts import COCO17
from har.errors import ShapeError
from har.likeness import OKS_FALLOFF
from har.pose.coco import Mask, Person
from har.pose.masks import paste, write_mask
from har.records import SEEN_SCORE, FloatArray, Pose

ALIKE_OKS = 0.1
"""A pose less like a person than this is not theirs, however far it is from everybody else."""

_SHOULDER, _HIP = COCO17.joints.index("left_shoulder"), COCO17.joints.index("right_hip")
_TORSO = [_SHOULDER, _HIP]


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """One person as an estimator sees them.

    Attributes:
        pose: COCO-17 joints in pixels.
        score: how sure, in [0, 1]: what guesses are ranked by.
        box: (4,) float32 x, y, width, height in pixels.
        mask: the outline as COCO writes it, or None.
    """

    pose: Pose
    score: float
    box: FloatArray
    mask: Mask | None = None

    def __post_init__(self) -> None:
        if self.pose.layout != COCO17.name or self.box.shape != (4,):
            raise ShapeError(f"a guess is a coco17 pose with a box (4,), got {self.pose.layout} and {self.box.shape}.")


def guess(pose: Pose, *, width_px: int, height_px: int) -> Guess:
    """Make a guess of a pose in a picture of this size; the score is the mean of all joints' scores.

    A pose with a silhouette brings its box and mask along. The box of another lies round the joints seen: a body is
    larger (by hair, hands and feet), so box AP of joints alone is low.

    Raises:
        ConfigError: it has a silhouette, and pycocotools is not installed.
    """
    score = float(np.mean(pose.score))
    if pose.silhouette is not None:
        low, high = pose.silhouette.box[:2], pose.silhouette.box[2:]
        mask = write_mask(paste(pose.silhouette, width_px=width_px, height_px=height_px))
        return Guess(pose, score, np.concatenate([low, high - low]).astype(np.float32), mask)
    places = pose.xy[seen(pose)]
    if not len(places):
        places = pose.xy[np.isfinite(pose.xy).all(axis=1)]
    if not len(places):
        places = np.zeros((1, 2), np.float32)
    low, high = places.min(axis=0), places.max(axis=0)
    return Guess(pose, score, np.concatenate([low, high - low]).astype(np.float32))


def seen(pose: Pose) -> npt.NDArray[np.bool_]:
    """Say which joints (V,) count as seen: sure enough, and at a known place."""
    return (pose.score >= SEEN_SCORE) & np.isfinite(pose.xy).all(axis=1)


def joint_oks(person: Person, pose: Pose) -> FloatArray:
    """Give each joint's keypoint similarity (17,) in [0, 1]; NaN where the person is not annotated.

    exp(-d^2 / (2 s^2 k^2)) with d the distance in pixels, s^2 the person's area and k the joint's falloff, as
    cocodataset.org defines it; the pose's scores do not matter.
    """
    squared = _distances(person, pose) ** 2
    alike: FloatArray = np.exp(-squared / (2 * (person.area_px + np.spacing(1)) * OKS_FALLOFF**2)).astype(np.float32)
    return alike


def oks(person: Person, pose: Pose) -> float:
    """Give the object keypoint similarity, the mean of the annotated joints'; 0 where none is annotated."""
    of_joints = joint_oks(person, pose)
    annotated = np.isfinite(of_joints)
    return float(of_joints[annotated].mean()) if annotated.any() else 0.0


def torso_px(person: Person) -> float:
    """Give the torso's diameter, left shoulder to right hip, in pixels; NaN where one of them is not annotated."""
    if not person.visibility[_TORSO].all():
        return float("nan")
    return float(np.linalg.norm(person.xy[_SHOULDER] - person.xy[_HIP]))


def torso_errors(person: Person, pose: Pose | None) -> FloatArray:
    """Give each joint's distance (17,) in torso diameters, which PDJ counts (Sapp and Taskar 2013, section 5).

    NaN where the joint is not annotated, and everywhere where the torso is not; infinite where there is no pose.
    """
    diameter = torso_px(person)
    return _distances(person, pose) / (diameter if diameter > 0 else np.nan)


def box_errors(person: Person, pose: Pose | None) -> FloatArray:
    """Give each joint's distance (17,) over the longer side of the person's box, which PCK counts.

    As Yang and Ramanan (2013, section 6) do for whole bodies; COCO annotates no head to measure by. NaN where the joint
    is not annotated; infinite where there is no pose.
    """
    return _distances(person, pose) / np.float32(max(person.box[2:].max(), 1.0))


def share_within(errors: FloatArray, threshold: float) -> float | None:
    """Give the share of errors (any shape) up to a threshold, NaN left out; None where nothing is left."""
    judged = errors[~np.isnan(errors)]
    return float((judged <= threshold).mean()) if len(judged) else None


def pair(people: Sequence[Person], poses: Sequence[Pose]) -> list[tuple[int, int, float]]:
    """Say whose pose is whose, so that all OKS together are highest; nobody gets two poses, no pose two people.

    Returns:
        (person, pose, OKS) by their places in the sequences, only where they are alike at all.
    """
    if not people or not poses:
        return []
    likeness = np.array([[oks(person, pose) for pose in poses] for person in people])  # (people, poses)
    rows, columns = linear_sum_assignment(likeness, maximize=True)
    return [
        (int(row), int(column), float(likeness[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if likeness[row, column] >= ALIKE_OKS
    ]


def _distances(person: Person, pose: Pose | None) -> FloatArray:
    """Give each joint's distance (17,) in pixels: NaN if not annotated, infinite if the pose does not place it."""
    if pose is None:
        apart = np.full(COCO17.n_joints, np.inf, np.float32)
    else:
        apart = np.linalg.norm(person.xy - pose.xy, axis=1).astype(np.float32)
        apart = np.where(np.isfinite(apart), apart, np.float32(np.inf))
    distances: FloatArray = np.where(person.visibility > 0, apart, np.float32(np.nan))
    return distances
