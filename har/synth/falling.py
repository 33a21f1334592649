"""How somebody falls: by physics, or as an inverted pendulum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from har.synth import postures
from har.synth.actor import Actor
from har.synth.body import A, Array, P
from har.synth.causes import Situation, draw_cause
from har.synth.falls import landing, make_fall
from har.synth.low import across_bed, bed_yaw_rad
from har.synth.motion import RATE_HZ
from har.synth.postures import leg
from har.synth.shapes import Box
from har.synth.tumble import tumble

TRIES = 4
"""Of different causes, where physics does not bring the body down."""
AFTER_GROUND_S = 0.2
"""The impact still belongs to the fall; then it is lying."""
_LYING_RAD = 0.7  # a trunk nearer to upright than this sits, against a wall for instance


def tumble_down(
    actor: Actor, *, kind: str, ahead: Array | None = None, speed_m_s: float = 0.0, boxes: Sequence[Box] = ()
) -> float | None:
    """Fall by physics from whatever is being done, and come to rest.

    Args:
        actor: who.
        kind: one of `kinds.FALLS`; has to fit what is being done.
        ahead: (3,) unit vector off the bed for "fall-bed"; None for where the person faces.
        speed_m_s: at which the person walks.
        boxes: furniture and walls to fall over or against.

    Returns:
        When the body was down, on the actor's clock; None if nobody fell, and then nothing was done.
    """
    angles, pelvis_m = actor.last_moments
    yaw = actor.yaw_rad
    situation = Situation(angles[1], np.array([np.cos(yaw), np.sin(yaw), 0.0]) if ahead is None else ahead, speed_m_s)
    for seed in actor.rng.integers(2**62, size=TRIES).tolist():
        rng = np.random.default_rng(seed)
        cause = draw_cause(rng, situation, kind=kind)
        down = tumble(rng, actor.body, angles=angles, pelvis_m=pelvis_m, cause=cause, boxes=boxes)
        if down is not None:
            break
    else:
        return None
    ground_s = actor.duration_s + down.ground_frame / RATE_HZ
    n_fall = min(len(down.points), down.ground_frame + round(AFTER_GROUND_S * RATE_HZ))
    trunk = down.points[-1, P["neck"]] - down.points[-1, P["pelvis"]]
    rest = "lie" if np.arccos(trunk[2] / np.linalg.norm(trunk)) > _LYING_RAD else "sit"
    actor.take_over(down.points, ["fall"] * n_fall + [rest] * (len(down.points) - n_fall), end=down.angles)
    actor.seat_m = 0.0
    return ground_s


def fall(actor: Actor, *, direction: str, slump: bool = False, speed_m_s: float = 0.0) -> None:
    """Fall from whatever is being done and lie there.

    Args:
        actor: who.
        direction: one of `falls.DIRECTIONS`.
        slump: whether the knees give way slowly.
        speed_m_s: forward speed when tripping, 0 when standing.
    """
    start = actor.posture.copy()
    supine = postures.lying(actor.rng, actor.facing(actor.ease), "supine")
    end = landing(actor.rng, supine, direction=direction)
    if speed_m_s > 0:
        for name, value in leg(str(actor.rng.choice(postures.SIDES)), thigh=25, shin=-35).items():
            start[A[name]] = np.deg2rad(value)
        trip = actor.move([(0.18, start)])
        actor.act(trip, "fall", feet_hold=0.0, velocity=_gliding(actor, len(trip), speed_m_s, until_s=9.0))
    down = make_fall(
        actor.rng,
        actor.posture.copy(),
        end,
        direction=direction,
        slump=slump,
        stature_m=actor.body.stature_m,
        rate_hz=RATE_HZ,
    )
    velocity = _gliding(actor, len(down.postures), speed_m_s, until_s=down.ground_frame / RATE_HZ)
    # The first 0.2 s after the impact are the fall's end; the rest of the rebound is lying.
    n_fall = down.ground_frame + 1 + round(0.2 * RATE_HZ)
    labels = ["fall"] * n_fall + ["lie"] * (len(down.postures) - n_fall)
    actor.act(down.postures, labels, feet_hold=down.feet_hold, velocity=velocity, trunk_down=1.0 - down.feet_hold**2)
    actor.seat_m = 0.0


def roll_out_of_bed(actor: Actor) -> None:
    """Roll over the edge of the bed, drop freely and lie on the floor."""
    edge = bed_yaw_rad(actor) - actor.yaw_rad
    side = float(np.sign(np.sin(edge)) or 1.0) * (-1.0 if actor.posture[A["pitch"]] > 0 else 1.0)  # 1: to the left
    end = actor.posture.copy()
    end[A["spin"]] += side * np.deg2rad(actor.rng.uniform(60, 120))
    n_roll, drop_s = round(actor.rng.uniform(0.5, 0.9) * RATE_HZ), float(np.sqrt(2 * actor.seat_m / 9.81))
    angles = actor.move([(n_roll / RATE_HZ + drop_s, end), (0.5, end)])
    airborne_s = np.clip((np.arange(len(angles)) - n_roll) / RATE_HZ, 0, drop_s)
    heights = actor.seat_m - 0.5 * 9.81 * airborne_s**2
    n_fall = n_roll + round(drop_s * RATE_HZ)
    velocity = np.zeros((len(angles), 2))
    velocity[:n_fall] = across_bed(actor, n_fall, distance_m=0.75)
    labels = ["fall"] * n_fall + ["lie"] * (len(angles) - n_fall)
    actor.act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=np.maximum(heights, 0.0))
    actor.seat_m = 0.0


def _gliding(actor: Actor, n_frames: int, speed_m_s: float, *, until_s: float) -> Array:
    """Give (T, 2) of the speed of walking on, which dies out on the ground."""
    time_s = np.arange(n_frames) / RATE_HZ
    speed = 0.6 * speed_m_s * np.exp(-np.clip(time_s - 0.5 * until_s, 0, None) / 0.15)
    return np.asarray(speed[:, None] * np.array([np.cos(actor.yaw_rad), np.sin(actor.yaw_rad)]))
