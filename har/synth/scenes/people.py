"""People in a room: a posture, a place that is free, and nobody inside anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from har.synth import postures
from har.synth.actor import FLOOR_CONTACT
from har.synth.body import TRUNK, A, Array, Body, P, lowest_m, place_points, random_body
from har.synth.contact import keep_limbs_above
from har.synth.gait import walk_angles
from har.synth.motion import Style, Support, random_style
from har.synth.scenes.things import NOTHING, WHEELCHAIR_SEAT_M, Things
from har.synth.scenes.wardrobe import Outfit, random_outfit
from har.synth.shapes import Box

POSTURES = {
    "stand": 0.20, "walk": 0.14, "walking frame": 0.04, "bend": 0.09, "squat": 0.03, "kneel": 0.06, "sit": 0.17,
    "wheelchair": 0.04, "sit on floor": 0.04, "lie in bed": 0.05, "half off": 0.03, "lie": 0.11,
}  # fmt: skip
"""Share of people who do it. "lie" is on the floor: on the back, the belly, a side, curled up."""
SEATS_FOR = {"sit": ("chair", "sofa", "bed"), "lie in bed": ("bed", "sofa"), "half off": ("bed", "sofa")}
"""Furniture that a posture needs."""
N_SHARES = (0.04, 0.34, 0.32, 0.20, 0.10)
"""Of pictures with nobody, one, two, three, four people."""
_STANDING_HANDS = ("in front", "folded", "on hips", "behind", "drink", "phone", "reach out", "reach up", "both up",
                   "arms wide", "wave", "face")  # fmt: skip
_SITTING_HANDS = ("in front", "folded", "drink", "phone", "table", "face", "reach out", "knees")
_BONES = np.array([
    (P[a], P[b]) for a, b in (
        ("chest", "pelvis"), ("neck", "head"),
        *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right")
          for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))),
    )
])  # fmt: skip
_TOUCH_M = 0.03  # clothes and flesh give way by this
_BED_SHIFT_M = 0.24  # from its edge, where one sits, to where one lies


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """One person at one moment.

    Attributes:
        points: (P, 3) metres in the room, see `body.POINTS`.
        body: proportions.
        outfit: looks.
        posture: a key of `POSTURES`.
        things: what they use and are covered by.
    """

    points: Array
    body: Body
    outfit: Outfit
    posture: str
    things: Things = NOTHING


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """Where somebody can sit or lie.

    Attributes:
        support: where it is.
        boxes: of the room's, those that belong to it.
        head: at which end one lies with the head: 1 to the left of somebody who sits on it, -1 to the right.
    """

    support: Support
    boxes: tuple[Box, ...]
    head: float


def random_person(rng: np.random.Generator) -> tuple[Body, Style, Outfit]:
    """Draw somebody."""
    return random_body(rng), random_style(rng), random_outfit(rng)


def pose(rng: np.random.Generator, body: Body, style: Style, posture: str, *, seat_m: float | None = None) -> Array:
    """Give the points of somebody at the middle of the floor, or of a seat, facing anywhere.

    Args:
        rng: source of the differences.
        body: whose.
        style: how they stand and walk.
        posture: a key of `POSTURES`.
        seat_m: height of what carries the trunk; None for the floor, or for a wheelchair.

    Returns:
        (P, 3) metres, the pelvis over the origin; facing along x with a seat.
    """
    ease = postures.upright(rng, stoop_deg=style.stoop_deg)
    if seat_m is None:
        ease[A["yaw"]] = rng.uniform(-np.pi, np.pi)
    if posture == "wheelchair":
        seat_m = WHEELCHAIR_SEAT_M
    angles = _angles(rng, body, style, ease, posture)
    for name, spread in (("head_twist", 25.0), ("head_flex", 10.0), ("spine_twist", 7.0), ("spine_side", 4.0)):
        angles[A[name]] += np.deg2rad(rng.normal(0, spread))
    angles[A["head_twist"]] = np.clip(angles[A["head_twist"]], -1.2, 1.2)
    points = place_points(body, angles[None])
    lying = posture in ("lie", "lie in bed")
    among = TRUNK if lying or seat_m is not None else FLOOR_CONTACT
    points[..., 2] -= lowest_m(body, points, among=among)
    if seat_m is not None and not lying:
        points[..., 2] += seat_m
    keep_limbs_above(points, body)
    if seat_m is not None and lying:
        points[..., 2] += seat_m
    points[..., :2] -= points[:, P["pelvis"], None, :2]
    return np.asarray(points[0])


def _angles(rng: np.random.Generator, body: Body, style: Style, ease: Array, posture: str) -> Array:
    """Draw the joint angles of a posture."""
    if posture == "walk":
        speed = np.full(1, style.walk_m_s * rng.uniform(0.7, 1.2))
        phase = float(rng.uniform(0, 2 * np.pi))
        return np.asarray(walk_angles(ease, body=body, style=style, speed_m_s=speed, phase_rad=phase)[0])
    if posture == "bend":
        return postures.stooping(rng, ease, depth=float(rng.uniform(0.3, 1.0)))
    if posture == "squat":
        return postures.squatting(rng, ease)
    if posture == "kneel":
        return _kneeling(rng, ease)
    if posture == "walking frame":
        return postures.set_angles(ease, {"arm_flex": 38 + style.stoop_deg, "elbow": 35, "arm_abd": 6})
    if posture in ("sit", "wheelchair"):
        sitting = postures.seated(rng, ease, low=posture == "sit" and bool(rng.random() < 0.4))
        name = str(rng.choice(_SITTING_HANDS))
        return postures.with_hands(rng, sitting, name) if rng.random() < 0.6 else sitting
    if posture == "sit on floor":
        return postures.on_floor_seat(rng, ease)
    if posture == "lie in bed":
        return postures.lying(rng, ease, str(rng.choice(postures.LYING, p=(0.5, 0.06, 0.16, 0.16, 0.12))))
    if posture == "lie":
        return _fallen(rng, ease)
    if posture == "half off":
        return _half_off(rng, ease)
    return postures.with_hands(rng, ease, str(rng.choice(_STANDING_HANDS))) if rng.random() < 0.55 else ease


def _kneeling(rng: np.random.Generator, ease: Array) -> Array:
    chance = rng.random()
    if chance < 0.35:
        return postures.half_kneeling(rng, ease, side=str(rng.choice(postures.SIDES)))
    return postures.kneeling(rng, ease) if chance < 0.65 else postures.all_fours(rng, ease)


def _fallen(rng: np.random.Generator, ease: Array) -> Array:
    """Lie on the floor any way, arms and legs where they came to rest."""
    angles = postures.lying(rng, ease, str(rng.choice(postures.LYING, p=(0.26, 0.22, 0.16, 0.16, 0.2))))
    for side in postures.SIDES:
        if rng.random() < 0.4:
            angles[A[f"{side}_arm_abd"]] += np.deg2rad(rng.uniform(0, 90))
            angles[A[f"{side}_elbow"]] = np.deg2rad(rng.uniform(0, 120))
        if rng.random() < 0.35:
            bend = rng.uniform(0, 70)
            angles[A[f"{side}_hip_flex"]] += np.deg2rad(bend)
            angles[A[f"{side}_hip_abd"]] += np.deg2rad(rng.uniform(0, 25))
            angles[A[f"{side}_knee"]] += np.deg2rad(bend * rng.uniform(1.0, 1.8))
    return angles


def _half_off(rng: np.random.Generator, ease: Array) -> Array:
    """Slide off the edge of a bed: the trunk still on it, on its back or its belly, the legs to the floor."""
    angles = postures.lying(rng, ease, "supine" if rng.random() < 0.6 else "prone")
    face_down = angles[A["pitch"]] > 0
    if face_down:
        angles[A["yaw"]] += np.pi
    thigh = rng.uniform(35, 80)
    for side in postures.SIDES:
        down = thigh + rng.uniform(-15, 15)
        angles[A[f"{side}_hip_flex"]] = np.deg2rad(down if face_down else 88 - down)
        angles[A[f"{side}_knee"]] = np.deg2rad(rng.uniform(10, 80) if face_down else rng.uniform(20, 80))
    return angles


# -- places ----------------------------------------------------------------------------------------------------------


def turned(points: Array, *, yaw_rad: float, xy_m: Array) -> Array:
    """Turn points about the vertical through the origin and move them to a place on the floor."""
    cosine, sine = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(points @ turn + np.array([*xy_m, 0.0]))


def on_seat(rng: np.random.Generator, body: Body, style: Style, posture: str, seat: Seat) -> Array:
    """Give the points of somebody who sits on a seat, lies on it, or hangs half off it."""
    support = seat.support
    forward = np.array([np.cos(support.yaw_rad), np.sin(support.yaw_rad)])
    left = np.array([-forward[1], forward[0]])
    place, yaw = np.array([support.x_m, support.y_m]), support.yaw_rad
    points = pose(rng, body, style, posture, seat_m=support.height_m)
    if support.kind != "chair":
        place = place + left * rng.uniform(-0.6, 0.6) * (posture != "lie in bed")
    if posture == "lie in bed":
        place = place - _BED_SHIFT_M * forward + left * rng.uniform(-0.08, 0.08)
        yaw += -seat.head * np.pi / 2 + rng.normal(0, 0.05)
    elif posture == "half off":
        place = place - forward * rng.uniform(-0.05, 0.12)
        yaw += rng.normal(0, 0.25)
    else:
        yaw += rng.normal(0, 0.12)
    return turned(points, yaw_rad=float(yaw), xy_m=place)


def flesh(points: Array, body: Body) -> tuple[Array, Array]:
    """Give (S, 3) points along the body and (S,) radii of balls about them that fill most of it."""
    ends = points[_BONES]
    radius = body.radius_m[_BONES].mean(axis=1)
    between = [ends[:, 0] + share * (ends[:, 1] - ends[:, 0]) for share in (0.33, 0.67)]
    return np.concatenate([points, *between]), np.concatenate([body.radius_m, radius, radius])


def is_free(points: Array, body: Body, *, others: Sequence[Figure], boxes: Sequence[Box], half_m: Array) -> bool:
    """Say whether a body is inside the room, in no box and in nobody else."""
    spots, radius = flesh(points, body)
    if (np.abs(spots[:, :2]) + 0.5 * radius[:, None] > half_m).any():
        return False
    for box in boxes:
        inside = np.abs((spots - box.centre_m) @ box.turn.T) - box.half_m < (0.6 * radius - _TOUCH_M)[:, None]
        if inside.all(axis=1).any():
            return False
    for other in others:
        there, thickness = flesh(other.points, other.body)
        apart = np.linalg.norm(spots[:, None] - there[None], axis=-1)
        if (apart < radius[:, None] + thickness[None] - _TOUCH_M).any():
            return False
    return True
