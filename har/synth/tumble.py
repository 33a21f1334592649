"""A fall by physics: a moving body meets a cause, hits the ground and comes to rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from har.synth.body import TRUNK, A, Array, Body, P
from har.synth.causes import GRAVITY_M_S2, Cause
from har.synth.motion import RATE_HZ
from har.synth.physics import Ragdoll
from har.synth.shapes import Box

MOST_S = 7.0
_AFTER_TOUCH_S = 0.15
_TOPPLE_AFTER_S = 0.5
_REST_S = (1.2, 2.2)
"""How long the body is left to come to rest once it is down."""
_TOUCH_M = 0.05
_LOW_HIP_M, _LOW_CHEST_M = 0.30, 0.75
"""Higher at the end, and it was no fall to the floor: somebody who slid down a wall sits with the chest at 0.5 m."""
_SETTLED_M = 0.12
_SHORTEST_S, _LONGEST_S = 0.25, 5.0
_LIMP = {"trunk": 1.0, "head": 0.04, "arms": 0.03, "legs": 0.03}


@dataclass(frozen=True, slots=True, eq=False)
class Tumble:
    """One fall as points.

    Attributes:
        points: (T, P, 3) metres in the room; the first is one motion step after the start.
        angles: (A,) the posture at the end.
        ground_frame: index of the frame from which the body is down.
    """

    points: Array
    angles: Array
    ground_frame: int


def tumble(
    rng: np.random.Generator, body: Body, *, angles: Array, pelvis_m: Array, cause: Cause, boxes: Sequence[Box] = ()
) -> Tumble | None:
    """Let somebody fall.

    Args:
        rng: source of the differences.
        body: who.
        angles: (2, A) radians, the last two postures at the motion's rate.
        pelvis_m: (2, 3) where the pelvis was in them.
        cause: what happens.
        boxes: furniture and walls.

    Returns:
        The fall; None if the body did not end up on the floor in human time.
    """
    doll = Ragdoll(body, boxes)
    doll.put(angles[1], pelvis_m[1], before=(angles[0], pelvis_m[0]))
    if cause.slippery:
        doll.make_slippery(["left_heel", "left_toe", "right_heel", "right_toe"], friction=0.05)
    held = doll.points[P[f"{cause.blocked}_ankle"]] if cause.blocked else None
    points: list[Array] = []
    down_since: int | None = None
    left = np.array([-np.sin(angles[1, A["yaw"]]), np.cos(angles[1, A["yaw"]]), 0.0])
    aside = left * rng.choice((-1.0, 1.0))
    rest_frames = round(rng.uniform(*_REST_S) * RATE_HZ)
    while len(points) < MOST_S * RATE_HZ:
        time_s = len(points) / RATE_HZ
        touched_s = 0.0 if down_since is None else (len(points) - down_since) / RATE_HZ
        _tense(doll, cause, start=angles[1], time_s=time_s, touched_s=touched_s)
        _pull(doll, cause, time_s=time_s, touched_s=touched_s, held=held, aside=aside)
        doll.step()
        points.append(doll.points)
        on_floor = float((points[-1][list(TRUNK), 2] - body.radius_m[list(TRUNK)]).min()) < _TOUCH_M
        if down_since is None and on_floor:
            down_since = len(points)
        if down_since is not None and len(points) - down_since > rest_frames:
            break
    return _judge(np.stack(points), doll.angles)


def _tense(doll: Ragdoll, cause: Cause, *, start: Array, time_s: float, touched_s: float) -> None:
    """Set the muscles for the next frame: what is left of the tone, the reflexes, and nothing much once down."""
    weak = min(1.0, time_s / max(cause.weak_s, 1e-3))
    tone = {part: 1.0 + weak * (cause.weak.get(part, 1.0) - 1.0) for part in _LIMP}
    target = start
    if cause.reflex is not None and time_s > cause.reflex_after_s:
        share = min(1.0, (time_s - cause.reflex_after_s) / 0.25)
        target = start + share * (cause.reflex - start)
        for part, strength in (("arms", 1.0), ("legs", 0.5)):
            tone[part] = max(tone[part], share * cause.reflex_tone * strength)
    if touched_s > _AFTER_TOUCH_S:
        share = min(1.0, (touched_s - _AFTER_TOUCH_S) / 0.4)
        limp = _LIMP | {"trunk": cause.back}
        tone = {part: value + share * (min(limp[part], value) - value) for part, value in tone.items()}
    doll.brace(target, tone, damping=cause.drag * (1.0 + min(touched_s, 1.0)))


def _pull(doll: Ragdoll, cause: Cause, *, time_s: float, touched_s: float, held: Array | None, aside: Array) -> None:
    """Set the forces for the next frame; `aside` is where a body topples to that would stay on its knees."""
    force_n = {part: np.zeros(3) for part in (*(part for part, *_ in cause.pushes), "high", "pelvis")}
    for part, way, seconds in cause.pushes:
        force_n[part] = force_n[part] + way * (doll.mass_kg / seconds if time_s < seconds else 0.0)
    weight_n = doll.mass_kg * GRAVITY_M_S2
    share = cause.carried * max(0.0, 1.0 - time_s / cause.carried_s) ** 0.5
    if share > 0 and touched_s == 0:
        lift = np.array([0.0, 0.0, share * weight_n])
        steady = -60.0 * doll.velocity("high") * np.array([1.0, 1.0, 0.5])
        force_n["high"] = force_n["high"] + 0.8 * lift + steady
        force_n["pelvis"] = force_n["pelvis"] + 0.2 * lift
    if touched_s > _TOPPLE_AFTER_S and doll.points[P["pelvis"], 2] > _LOW_HIP_M:
        force_n["pelvis"] = force_n["pelvis"] + aside * 0.25 * weight_n  # nobody stays on the knees without muscles
    if held is not None:
        foot = f"{cause.blocked}_foot"
        pull = 4000.0 * (held - doll.points[P[f"{cause.blocked}_ankle"]]) - 150.0 * doll.velocity(foot)
        force_n[foot] = np.clip(pull, -900, 900) if time_s < cause.blocked_s else np.zeros(3)
    for part, force in force_n.items():
        doll.push(part, force)
    first_s = cause.pushes[0][2] if cause.pushes else 0.0
    doll.twist("pelvis", cause.twist * (1.0 if time_s < first_s else 0.0))


def _judge(points: Array, angles: Array) -> Tumble | None:
    """Find when the body was down, and turn down what is no fall to the floor."""
    hip_m, chest_m = points[:, P["pelvis"], 2], points[:, P["chest"], 2]
    if hip_m[-1] > _LOW_HIP_M or chest_m[-1] > _LOW_CHEST_M or not np.isfinite(points).all():
        return None
    up = (hip_m > hip_m[-1] + _SETTLED_M) | (chest_m > chest_m[-1] + _SETTLED_M)
    ground_frame = int(np.flatnonzero(up)[-1]) + 1 if up.any() else 0
    if not _SHORTEST_S <= ground_frame / RATE_HZ <= _LONGEST_S:
        return None
    return Tumble(points=points, angles=angles, ground_frame=min(ground_frame, len(points) - 1))
