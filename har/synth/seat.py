"""What somebody does on a chair, a sofa or the edge of a bed."""

from __future__ import annotations

import numpy as np

from har.synth import postures
from har.synth.actor import FLOOR_CONTACT, Actor
from har.synth.body import TRUNK, A, lowest_m, place_points
from har.synth.motion import RATE_HZ, Support
from har.synth.postures import set_angles


def sit_down(actor: Actor, *, quick: bool = False, furniture: str = "chair") -> None:
    """Sit down on a chair, a sofa or the edge of a bed behind the person; `quick` is dropping into it."""
    sitting = postures.seated(actor.rng, actor.facing(actor.ease), low=furniture == "sofa")
    lean = actor.facing(actor.posture + 0.45 * (sitting - actor.posture))
    lean[A["pitch"]] = np.deg2rad(actor.rng.uniform(15, 40))
    lean[A["spine_flex"]] += np.deg2rad(12)
    fit_s = 0.32 if quick else 0.75
    angles = actor.move([(actor.seconds(fit_s), lean), (actor.seconds(fit_s), sitting)])
    actor.act(angles, "sit down")
    note_seat(actor, furniture)


def start_seated(actor: Actor, *, furniture: str = "chair") -> None:
    """Begin the clip on a chair."""
    actor.posture = postures.seated(actor.rng, actor.facing(actor.ease), low=furniture == "sofa")
    note_seat(actor, furniture)


def note_seat(actor: Actor, furniture: str) -> None:
    """Remember the seat under somebody who sits as they will go on sitting."""
    points = place_points(actor.body, actor.posture[None])
    lift_m = -lowest_m(actor.body, points, among=FLOOR_CONTACT)
    actor.seat_m = float((lift_m + lowest_m(actor.body, points, among=TRUNK))[0])
    x_m, y_m = (float(value) for value in actor.xy)
    actor.supports.append(Support(furniture, x_m, y_m, actor.seat_m, actor.yaw_rad))


def sit(actor: Actor, duration_s: float) -> None:
    """Stay seated and use the hands; lean now and then."""
    base = actor.posture.copy()
    hands = ("in front", "folded", "drink", "phone", "table", "face", "reach out", "knees", "reach up")
    angles = actor.idle(duration_s, hands=hands, base=base, restless=0.6)
    if actor.rng.random() < 0.3 and duration_s > 3.0:
        lean = np.sin(np.pi * np.arange(len(angles)) / len(angles)) ** 2 * np.deg2rad(actor.rng.uniform(10, 35))
        for name in ("pitch", "left_hip_flex", "right_hip_flex"):
            angles[:, A[name]] += lean
    actor.act(angles, "sit", feet_hold=0.0, support_m=actor.seat_m)


def tie_shoes(actor: Actor) -> None:
    """Bend forward to the feet while seated; still sitting."""
    base = actor.posture.copy()
    down = set_angles(base, {"pitch": 42, "spine_flex": 48, "arm_flex": 118, "elbow": 12, "arm_abd": 2})
    for side in postures.SIDES:
        down[A[f"{side}_hip_flex"]] += np.deg2rad(42) - base[A["pitch"]]
    hold_s = float(actor.rng.uniform(1.0, 3.0))
    angles = actor.move([(actor.seconds(1.0), down), (hold_s, down), (actor.seconds(1.0), base)])
    actor.act(angles + actor.sway(len(angles), degrees=1.2), "sit", feet_hold=0.0, support_m=actor.seat_m)


def stand_up(actor: Actor) -> None:
    """Rise from the chair."""
    ease = actor.facing(actor.ease)
    lean = actor.posture.copy()
    forward = np.deg2rad(actor.rng.uniform(18, 38))
    for name in ("pitch", "left_hip_flex", "right_hip_flex"):
        lean[A[name]] += forward
    rising = actor.posture + 0.55 * (ease - actor.posture)
    rising[A["pitch"]] = 0.7 * forward
    keys = [(actor.seconds(0.55), lean), (actor.seconds(0.55), rising), (actor.seconds(0.6), ease)]
    actor.act(actor.move(keys), "stand up")
    actor.seat_m = 0.0


def doze(actor: Actor, duration_s: float) -> None:
    """Fall asleep seated: head and trunk sink, slowly or with a jerk, and come up again at the end."""
    rng, base = actor.rng, actor.posture.copy()
    lean, side = rng.uniform(0, 40), rng.choice((-1.0, 1.0))
    sunk = set_angles(base, {"head_flex": rng.uniform(30, 45), "head_side": side * rng.uniform(0, 30),
                             "spine_flex": rng.uniform(25, 60), "spine_side": side * rng.uniform(0, 28),
                             "arm_flex": rng.uniform(0, 25), "elbow": rng.uniform(20, 60)})  # fmt: skip
    for name in ("pitch", "left_hip_flex", "right_hip_flex"):
        sunk[A[name]] += np.deg2rad(lean)
    nod = base + 0.35 * (sunk - base)
    down_s = float(rng.uniform(0.5, 1.2) if rng.random() < 0.4 else rng.uniform(2.0, 6.0))
    keys = [
        (actor.seconds(1.5), nod),
        (1.0, nod),
        (down_s, sunk),
        (max(duration_s, 1.0), sunk),
        (rng.uniform(0.5, 2.5), base),
    ]
    angles = actor.move(keys)
    actor.act(angles + actor.sway(len(angles), degrees=0.5), "sit", feet_hold=0.0, support_m=actor.seat_m)


def wheel(actor: Actor, duration_s: float) -> None:
    """Roll about in a wheelchair: seated, gliding and turning, the hands at the rims or at rest."""
    rng = actor.rng
    pushes = rng.random() < 0.6
    left_s = duration_s
    while left_s > 0.5:
        leg_s = min(left_s, float(rng.uniform(1.5, 4.0)))
        n_frames = round(leg_s * RATE_HZ)
        time_s = np.arange(1, n_frames + 1) / RATE_HZ
        angles = np.repeat(actor.posture[None], n_frames, axis=0)
        ramp = np.sin(np.pi * np.minimum(time_s / leg_s, 1.0)) ** 0.7
        to_middle = np.arctan2(-actor.xy[1], -actor.xy[0])
        far = np.hypot(*actor.xy) > actor.room_m
        aim = to_middle - actor.yaw_rad if far else rng.uniform(-1.5, 1.5)
        turn_rad = (aim + np.pi) % (2 * np.pi) - np.pi
        angles[:, A["yaw"]] += turn_rad * np.clip(time_s / min(2.0, leg_s), 0, 1)
        stroke = np.sin(2 * np.pi * 0.8 * time_s) * ramp
        if pushes:
            for side in postures.SIDES:
                angles[:, A[f"{side}_arm_flex"]] += 0.5 * stroke
                angles[:, A[f"{side}_elbow"]] -= 0.3 * stroke
            angles[:, A["spine_flex"]] += 0.12 * stroke
        yaw = angles[:, A["yaw"]]
        speed = rng.uniform(0.3, 1.0) * ramp * (1 + 0.3 * pushes * stroke)
        velocity = speed[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        actor.act(actor.smooth(angles), "sit", feet_hold=0.0, velocity=velocity, support_m=actor.seat_m)
        left_s -= leg_s
