"""The project's own body model: proportions of a person, and joint angles to joint positions.

Axes of the world and of an upright person who faces along it: x forward, y to the person's left, z up; metres, radians.
Lengths are the fractions of stature of Drillis and Contini (1966) as given by Winter, "Biomechanics and Motor Control
of Human Movement", figure 4.1, each varied by a few percent. Depth and thickness are the project's own estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "head_top", "head", "neck", "chest", "belly", "pelvis",
    "left_hand", "right_hand", "left_heel", "right_heel", "left_toe", "right_toe",
)  # fmt: skip
"""The points of a body; the first 17 are COCO-17 in its order."""
P = {name: index for index, name in enumerate(POINTS)}
N_COCO = 17

_LIMB = ("arm_flex", "arm_abd", "arm_rot", "elbow", "hip_flex", "hip_abd", "hip_rot", "knee", "ankle")
ANGLES = (
    *("yaw", "pitch", "roll", "spin"),  # of the pelvis: heading, tilt forward, tilt to the right, turn about its length
    *("spine_flex", "spine_side", "spine_twist", "head_flex", "head_side", "head_twist"),
    *(f"left_{name}" for name in _LIMB),
    *(f"right_{name}" for name in _LIMB),
)
"""Joint angles, radians. Flex is forward, abd away from the midline, arm_rot turns the hand inward, hip_rot the toes
outward, knee and elbow bend, ankle points the toes down. All zero: upright, arms and legs hanging straight."""
A = {name: index for index, name in enumerate(ANGLES)}
N_ANGLES = len(ANGLES)

FEET = tuple(P[name] for name in ("left_heel", "right_heel", "left_toe", "right_toe"))
TRUNK = tuple(
    P[name]
    for name in ("head", "neck", "chest", "belly", "pelvis", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
)

_FRACTIONS = {
    "ankle": 0.039, "shin": 0.246, "thigh": 0.245, "hip_half": 0.052,
    "low_back": 0.070, "mid_back": 0.100, "high_back": 0.118, "shoulder_half": 0.118,
    "upper_arm": 0.186, "forearm": 0.146, "hand": 0.098, "foot": 0.152, "head": 0.115,
}  # fmt: skip
"""Of stature. The three parts of the back add up to shoulder height minus hip height (0.818 - 0.530); hip and shoulder
half widths are those of the joint centres, a little inside the breadths of the figure (0.191 and 0.259)."""

_RADII_M = {
    "head": 0.095, "head_top": 0.02, "nose": 0.01, "eye": 0.01, "ear": 0.01, "neck": 0.055,
    "chest": 0.115, "belly": 0.110, "pelvis": 0.105, "shoulder": 0.055, "elbow": 0.040, "wrist": 0.029, "hand": 0.025,
    "hip": 0.085, "knee": 0.056, "ankle": 0.040, "heel": 0.032, "toe": 0.026,
}  # fmt: skip
"""Radius of the flesh about each point for a stature of 1.75 m."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One person's proportions.

    Attributes:
        stature_m: height of the head's top when upright.
        lengths_m: length of each part named in Drillis and Contini's table as used here.
        radius_m: (P,) radius of the flesh about each of `POINTS`.
        girth: how stout the body is; 1 is average.
    """

    stature_m: float
    lengths_m: dict[str, float]
    radius_m: Array
    girth: float


def random_body(rng: np.random.Generator) -> Body:
    """Draw a body: stature 1.45 to 1.95 m, each part 4 % up or down, slim to stout."""
    stature_m = float(np.clip(rng.normal(1.68, 0.10), 1.45, 1.95))
    variation = {name: float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1)) for name in _FRACTIONS}
    return make_body(stature_m=stature_m, girth=float(rng.uniform(0.85, 1.35)), variation=variation)


def make_body(*, stature_m: float, girth: float = 1.0, variation: dict[str, float] | None = None) -> Body:
    """Build a body of given stature.

    Args:
        stature_m: height.
        girth: factor of all thicknesses; 1 is average.
        variation: factor of single parts; those not named keep their share of the stature.
    """
    varied = variation or {}
    lengths_m = {name: share * stature_m * varied.get(name, 1.0) for name, share in _FRACTIONS.items()}
    scale = stature_m / 1.75
    radius_m = np.array([_radius_of(name) for name in POINTS]) * scale
    fleshy = [P[name] for name in ("chest", "belly", "pelvis", "left_hip", "right_hip", "left_knee", "right_knee")]
    radius_m[fleshy] *= girth
    return Body(stature_m=stature_m, lengths_m=lengths_m, radius_m=radius_m, girth=girth)


def _radius_of(point: str) -> float:
    return _RADII_M.get(point) or _RADII_M[point.split("_", 1)[1]]


_SIGNS = np.array(  # (13, 3): sign of flex, side and turn of each moving part, in the order of `_PARTS`
    [
        *([1, 1, 1], [1, 1, 1], [1, 1, 1]),
        *([-1, 1, -1], [-1, -1, 1], [-1, 0, 0], [-1, 0, 0]),  # shoulders, elbows
        *([-1, 1, 1], [-1, -1, -1], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]),  # hips, knees, ankles
    ],
    dtype=np.float64,
)
_PARTS = np.array(
    [
        [A["spine_flex"], A["spine_side"], A["spine_twist"]],
        [A["spine_flex"], A["spine_side"], A["spine_twist"]],
        [A["head_flex"], A["head_side"], A["head_twist"]],
        *([A[f"{side}_arm_flex"], A[f"{side}_arm_abd"], A[f"{side}_arm_rot"]] for side in ("left", "right")),
        *([A[f"{side}_elbow"]] * 3 for side in ("left", "right")),
        *([A[f"{side}_hip_flex"], A[f"{side}_hip_abd"], A[f"{side}_hip_rot"]] for side in ("left", "right")),
        *([A[f"{side}_knee"]] * 3 for side in ("left", "right")),
        *([A[f"{side}_ankle"]] * 3 for side in ("left", "right")),
    ]
)
_SHARE = np.array([0.5, 0.5] + [1.0] * 11)[:, None]  # the bend of the spine is spread over two joints


def _rotation(flex: Array, side: Array, turn: Array) -> Array:
    """Rotations about y, then x, then z: (..., 3, 3) from angles (...)."""
    ca, sa, cb, sb, cc, sc = np.cos(flex), np.sin(flex), np.cos(side), np.sin(side), np.cos(turn), np.sin(turn)
    rows = [
        *(ca * cc + sa * sb * sc, sa * sb * cc - ca * sc, sa * cb),
        *(cb * sc, cb * cc, -sb),
        *(ca * sb * sc - sa * cc, sa * sc + ca * sb * cc, ca * cb),
    ]
    return np.stack(rows, axis=-1).reshape(*flex.shape, 3, 3)


def place_points(body: Body, angles: Array) -> Array:
    """Give the points of a body from its joint angles, by forward kinematics.

    Args:
        body: whose.
        angles: (T, A) radians, in the order of `ANGLES`.

    Returns:
        (T, P, 3) metres, the pelvis at the origin.
    """
    part = _rotation(*np.moveaxis(angles[:, _PARTS] * (_SIGNS * _SHARE), -1, 0))  # (T, 13, 3, 3)
    zero = np.zeros(len(angles))
    heading = _rotation(zero, zero, angles[:, A["yaw"]])
    pelvis = heading @ _rotation(angles[:, A["pitch"]], angles[:, A["roll"]], angles[:, A["spin"]])
    low = pelvis @ part[:, 0]
    high = low @ part[:, 1]
    head = high @ part[:, 2]
    upper_arm = high[:, None] @ part[:, 3:5]
    forearm = upper_arm @ part[:, 5:7]
    thigh = pelvis[:, None] @ part[:, 7:9]
    shin = thigh @ part[:, 9:11]
    foot = shin @ part[:, 11:13]
    points = np.zeros((len(angles), len(POINTS), 3))
    _place_trunk(points, body, pelvis=pelvis, low=low, high=high, head=head)
    _place_arms(points, body, high=high, upper_arm=upper_arm, forearm=forearm)
    _place_legs(points, body, pelvis=pelvis, thigh=thigh, shin=shin, foot=foot)
    return points


def _place_trunk(points: Array, body: Body, *, pelvis: Array, low: Array, high: Array, head: Array) -> None:
    length = body.lengths_m
    points[:, P["belly"]] = pelvis[:, :, 2] * length["low_back"]
    points[:, P["chest"]] = points[:, P["belly"]] + low[:, :, 2] * length["mid_back"]
    neck = points[:, P["chest"]] + high[:, :, 2] * length["high_back"]
    points[:, P["neck"]] = neck
    size = length["head"] / 0.115  # of the head, as the stature it would belong to
    for name, offset in HEAD_OFFSETS.items():
        points[:, P[name]] = neck + head @ (np.array(offset) * size)


HEAD_OFFSETS = {
    "head": (0.008, 0.0, 0.112), "head_top": (0.004, 0.0, 0.171), "nose": (0.068, 0.0, 0.103),
    "left_eye": (0.056, 0.019, 0.119), "right_eye": (0.056, -0.019, 0.119),
    "left_ear": (0.004, 0.045, 0.110), "right_ear": (0.004, -0.045, 0.110),
}  # fmt: skip
"""From the neck's base in the head's own axes, in shares of the stature; the eyes at 0.936 of it."""


def _place_arms(points: Array, body: Body, *, high: Array, upper_arm: Array, forearm: Array) -> None:
    length = body.lengths_m
    for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        offset = np.array([0.0, sign * length["shoulder_half"], length["high_back"] - 0.01 * body.stature_m])
        shoulder = points[:, P["chest"]] + high @ offset
        elbow = shoulder - upper_arm[:, index, :, 2] * length["upper_arm"]
        wrist = elbow - forearm[:, index, :, 2] * length["forearm"]
        points[:, P[f"{side}_shoulder"]] = shoulder
        points[:, P[f"{side}_elbow"]] = elbow
        points[:, P[f"{side}_wrist"]] = wrist
        points[:, P[f"{side}_hand"]] = wrist - forearm[:, index, :, 2] * length["hand"]


def _place_legs(points: Array, body: Body, *, pelvis: Array, thigh: Array, shin: Array, foot: Array) -> None:
    length = body.lengths_m
    heel_radius_m, toe_radius_m = body.radius_m[P["left_heel"]], body.radius_m[P["left_toe"]]
    heel_offset = np.array([-0.20 * length["foot"], 0.0, heel_radius_m - length["ankle"]])
    toe_offset = np.array([0.66 * length["foot"], 0.0, toe_radius_m - length["ankle"]])
    for index, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        hip = pelvis[:, :, 1] * (sign * length["hip_half"])
        knee = hip - thigh[:, index, :, 2] * length["thigh"]
        ankle = knee - shin[:, index, :, 2] * length["shin"]
        points[:, P[f"{side}_hip"]] = hip
        points[:, P[f"{side}_knee"]] = knee
        points[:, P[f"{side}_ankle"]] = ankle
        points[:, P[f"{side}_heel"]] = ankle + foot[:, index] @ heel_offset
        points[:, P[f"{side}_toe"]] = ankle + foot[:, index] @ toe_offset


def lowest_m(body: Body, points: Array, *, among: tuple[int, ...] | None = None) -> Array:
    """Give the height of the lowest flesh in each frame.

    Args:
        body: whose points they are.
        points: (T, P, 3) metres.
        among: indices of the points that count; None for all.

    Returns:
        (T,) metres.
    """
    bottom = points[:, :, 2] - body.radius_m
    chosen = bottom if among is None else bottom[:, list(among)]
    return np.asarray(chosen.min(axis=1))
