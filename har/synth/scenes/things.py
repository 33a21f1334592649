"""What people use and are covered by: a blanket, a walking frame, a wheelchair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from har.synth.body import Array, Body, P
from har.synth.motion import Support
from har.synth.postures import SIDES
from har.synth.scenes.patterns import near, plain, random_cloth, random_colour
from har.synth.scenes.view import Paint, View
from har.synth.shapes import Box, Limb

WHEELCHAIR_SEAT_M = 0.49
_TUBE_M = 0.013
_LEG_BONES = tuple((f"{side}_{a}", f"{side}_{b}") for side in SIDES for a, b in (("hip", "knee"), ("knee", "ankle")))


@dataclass(frozen=True, slots=True, eq=False)
class Things:
    """Shapes with their paints.

    Attributes:
        boxes: with edges.
        limbs: round ones.
    """

    boxes: tuple[tuple[Box, Paint], ...] = ()
    limbs: tuple[tuple[Limb, Paint], ...] = ()


NOTHING = Things()


def draw_things(view: View, things: Things) -> None:
    """Draw things, which are nobody's; changes `view`."""
    for box, paint in things.boxes:
        view.draw_box(box, paint)
    if things.limbs:
        limbs, paints = zip(*things.limbs, strict=True)
        view.draw_limbs(limbs, paints, owner=0)


def blanket(rng: np.random.Generator, points: Array, body: Body, bed: Support) -> Things:
    """Cover somebody who lies in a bed from the feet to the knees, the belly or the chest.

    Args:
        rng: source of the differences.
        points: (P, 3) metres, the person's.
        body: theirs.
        bed: where they lie.
    """
    along = np.array([-np.sin(bed.yaw_rad), np.cos(bed.yaw_rad)])
    upper = points[P[str(rng.choice(("chest", "belly", "pelvis", "left_knee"), p=(0.35, 0.3, 0.2, 0.15)))], :2]
    middle = np.array([bed.x_m, bed.y_m]) - 0.26 * np.array([np.cos(bed.yaw_rad), np.sin(bed.yaw_rad)])
    foot = np.sign((points[P["pelvis"], :2] - points[P["head"], :2]) @ along)
    begin, end = float((upper - middle) @ along), 1.04 * float(foot)
    centre = middle + 0.5 * (begin + end) * along
    high = bed.height_m + float(rng.uniform(0.10, 0.2))
    half = np.array([0.47, 0.5 * abs(end - begin), 0.5 * (high - bed.height_m)])
    cloth = random_cloth(rng, random_colour(rng), patterned=0.35)
    cover = Box(np.array([*centre, 0.5 * (high + bed.height_m)]), half, bed.yaw_rad, (1.0, 1.0, 1.0))
    bumps = []
    for one, other in _LEG_BONES:
        ends = points[[P[one], P[other]]]
        if all((end_m[:2] - upper) @ along * foot > -0.05 for end_m in ends):
            radius = 1.35 * body.radius_m[P[one]]
            bumps.append((Limb(ends[0], ends[1], radius, radius, "thing", np.eye(3)), cloth))
    return Things(((cover, cloth),), tuple(bumps))


def walking_frame(rng: np.random.Generator, points: Array) -> Things:
    """Put a frame of tubes under the hands of somebody who stands."""
    grey = plain(near(rng, (0.6, 0.6, 0.62), spread=0.15))
    forward = _forward(points)
    tubes: list[tuple[Array, Array]] = []
    fronts = []
    for side in SIDES:
        grip = points[P[f"{side}_hand"]]
        rear, front = grip - 0.12 * forward, grip + 0.28 * forward
        tubes += [(rear, front), (rear, _floor(rear - 0.05 * forward)), (front, _floor(front + 0.08 * forward))]
        tubes.append((0.5 * (rear + _floor(rear)), 0.5 * (front + _floor(front))))
        fronts.append(front)
    tubes += [(fronts[0], fronts[1]), (0.5 * (fronts[0] + _floor(fronts[0])), 0.5 * (fronts[1] + _floor(fronts[1])))]
    return Things(limbs=tuple((_tube(start, end), grey) for start, end in tubes))


def wheelchair(rng: np.random.Generator, points: Array) -> Things:
    """Put a wheelchair under somebody who sits at `WHEELCHAIR_SEAT_M`."""
    forward = _forward(points)
    yaw = float(np.arctan2(forward[1], forward[0]))
    left = np.array([-forward[1], forward[0], 0.0])
    hips = np.array([*points[P["pelvis"], :2], 0.0])
    cloth, dark = plain(near(rng, (0.12, 0.12, 0.15), spread=0.06)), plain(near(rng, (0.08, 0.08, 0.08), spread=0.03))
    grey = plain(near(rng, (0.6, 0.6, 0.62), spread=0.12))

    def box(ahead: float, low: float, high: float, half: tuple[float, float]) -> Box:
        centre = hips + ahead * forward + np.array([0.0, 0.0, 0.5 * (low + high)])
        return Box(centre, np.array([*half, 0.5 * (high - low)]), yaw, (1.0, 1.0, 1.0))

    seat_m = WHEELCHAIR_SEAT_M - 0.01
    boxes = (
        (box(0.08, seat_m - 0.05, seat_m, (0.22, 0.22)), cloth),
        (box(-0.2, seat_m, seat_m + 0.42, (0.015, 0.21)), cloth),
    )
    limbs: list[tuple[Limb, Paint]] = []
    flat = np.stack([left, forward, np.array([0.0, 0.0, 1.0])])
    for sign in (-1.0, 1.0):
        hub = hips + sign * 0.27 * left - 0.08 * forward + np.array([0.0, 0.0, 0.3])
        small = hips + sign * 0.22 * left + 0.35 * forward + np.array([0.0, 0.0, 0.09])
        limbs += [(Limb(hub, hub + 1e-4 * forward, 0.3, 0.3, "thing", flat, 0.06), dark),
                  (Limb(small, small + 1e-4 * forward, 0.09, 0.09, "thing", flat, 0.2), dark)]  # fmt: skip
        rest = hips + sign * 0.25 * left + np.array([0.0, 0.0, seat_m + 0.2])
        handle = rest - 0.22 * forward + np.array([0.0, 0.0, 0.22])
        limbs += [
            (_tube(rest - 0.2 * forward, rest + 0.2 * forward), grey),
            (_tube(handle, handle - 0.15 * forward), grey),
        ]
    return Things(boxes, tuple(limbs))


def _forward(points: Array) -> Array:
    """Give the level direction that the hips face."""
    left = points[P["left_hip"]] - points[P["right_hip"]]
    ahead = np.array([left[1], -left[0], 0.0])
    return np.asarray(ahead / max(float(np.linalg.norm(ahead)), 1e-6))


def _floor(point_m: Array) -> Array:
    return np.array([point_m[0], point_m[1], _TUBE_M])


def _tube(start_m: Array, end_m: Array) -> Limb:
    return Limb(start_m, end_m, _TUBE_M, _TUBE_M, "thing", np.eye(3))
