"""What somebody does on their feet: stand, turn, walk."""

from __future__ import annotations

import numpy as np

from har.synth import postures
from har.synth.actor import Actor
from har.synth.body import A, Array
from har.synth.gait import walk_angles
from har.synth.motion import RATE_HZ


def stand(actor: Actor, duration_s: float) -> None:
    """Stand, shift the weight, use the hands."""
    hands = ("in front", "folded", "on hips", "behind", "drink", "phone", "reach out", "reach up", "face", "wave")
    base = actor.facing(actor.ease)
    actor.act(actor.idle(duration_s, hands=hands, base=base, restless=0.55), "stand")


def exercise(actor: Actor, duration_s: float) -> None:
    """Move the arms up and down while standing."""
    base = actor.facing(actor.ease)
    raised = postures.with_hands(actor.rng, base, str(actor.rng.choice(("both up", "arms wide", "reach up"))))
    keys: list[tuple[float, Array]] = []
    while sum(seconds for seconds, _ in keys) < duration_s:
        keys += [(actor.seconds(0.9), raised), (actor.seconds(0.9), base)]
    actor.act(actor.move(keys), "stand")


def turn(actor: Actor, degrees: float) -> None:
    """Turn on the spot with small steps."""
    n_frames = round(actor.seconds(0.4 + abs(degrees) / 110) * RATE_HZ)
    share = np.arange(1, n_frames + 1) / n_frames
    time_s = np.arange(1, n_frames + 1) / RATE_HZ
    angles = _steps(actor, 0.25 * np.clip(np.minimum(time_s, time_s[-1] - time_s) / 0.2, 0, 1))
    angles[:, A["yaw"]] = actor.yaw_rad + np.deg2rad(degrees) * share * share * (3 - 2 * share)
    actor.act(actor.smooth(angles), "walk" if abs(degrees) > 60 else "stand", feet_hold=0.0)


def face(actor: Actor, heading_deg: float) -> None:
    """Turn on the spot to a heading in the room."""
    turn(actor, (heading_deg - np.rad2deg(actor.yaw_rad) + 180) % 360 - 180)


def walk(actor: Actor, duration_s: float) -> None:
    """Walk about the room from one place to the next."""
    left_s = duration_s
    while left_s > 0.6:
        target = actor.rng.uniform(-actor.room_m, actor.room_m, 2)
        if np.hypot(*(target - actor.xy)) < 1.0:
            continue
        left_s -= walk_to(actor, float(target[0]), float(target[1]), at_most_s=left_s)


def walk_to(actor: Actor, x_m: float, y_m: float, *, at_most_s: float = 60.0, stops: bool = True) -> float:
    """Walk straight to a place, turning towards it on the first steps.

    Args:
        actor: who.
        x_m: of the place in the room.
        y_m: of the place in the room.
        at_most_s: when to stop on the way.
        stops: whether to slow down at the end; else the last frame is in full walk.

    Returns:
        Seconds taken.
    """
    way = np.array([x_m, y_m]) - actor.xy
    heading = float(np.arctan2(way[1], way[0]))
    turn_rad = (heading - actor.yaw_rad + np.pi) % (2 * np.pi) - np.pi
    if abs(turn_rad) > 1.2:
        turn(actor, float(np.rad2deg(turn_rad)))
        turn_rad = 0.0
    speed_m_s = actor.style.walk_m_s * float(actor.rng.uniform(0.8, 1.15))
    duration_s = min(at_most_s, float(np.hypot(*way)) / speed_m_s + 0.5)
    n_frames = max(10, round(duration_s * RATE_HZ))
    time_s = np.arange(1, n_frames + 1) / RATE_HZ
    to_end_s = time_s[-1] + 1 / RATE_HZ - time_s if stops else np.full(n_frames, np.inf)
    ramp = np.clip(np.minimum(time_s, to_end_s) / 0.5, 0, 1)
    speeds = speed_m_s * ramp * ramp * (3 - 2 * ramp)
    share = np.clip(time_s / min(0.9, time_s[-1]), 0, 1)
    yaw = heading - turn_rad * (1 - share * share * (3 - 2 * share))
    angles = _steps(actor, speeds)
    angles[:, A["yaw"]] = yaw + (actor.yaw_rad + turn_rad - heading)  # headings may differ by whole turns
    velocity = speeds[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    actor.act(actor.smooth(angles), "walk", feet_hold=0.0, velocity=velocity)
    return n_frames / RATE_HZ


def _steps(actor: Actor, speed_m_s: Array) -> Array:
    phase_rad = float(actor.rng.uniform(0, 2 * np.pi))
    base = actor.facing(actor.ease)
    return walk_angles(base, body=actor.body, style=actor.style, speed_m_s=speed_m_s, phase_rad=phase_rad)


def walk_on(actor: Actor, duration_s: float) -> float:
    """Walk straight ahead, turned to the middle of the room if it would lead out of it, and do not stop.

    Returns:
        The speed, m/s.
    """
    reach_m = actor.style.walk_m_s * duration_s
    ahead = np.array([np.cos(actor.yaw_rad), np.sin(actor.yaw_rad)])
    if np.abs(actor.xy + reach_m * ahead).max() > actor.room_m + 0.5:
        ahead = -actor.xy / max(float(np.hypot(*actor.xy)), 1e-6)
    place = actor.xy + (reach_m + 1.0) * ahead
    walk_to(actor, float(place[0]), float(place[1]), at_most_s=duration_s, stops=False)
    tail = actor.last_moments[1]
    return float(np.hypot(*(tail[1] - tail[0])[:2]) * RATE_HZ)
