"""What somebody does on a chair, a sofa or the edge of a bed."""

from __future__ import annotations

import numpy as np

from har.synth import postures
from har.synth.actor import FLOOR_CONTACT, Actor
from har.synth.body import FEET, TRUNK, A, Array, lowest_m, place_points
from har.synth.motion import RATE_HZ, SEATS, Support
from har.synth.postures import set_angles
from har.synth.upright import face, walk_to


def sit_down(actor: Actor, *, quick: bool = False, furniture: str = "chair", place: Support | None = None) -> None:
    """Sit down on what is behind the person.

    Args:
        actor: who; at home, they first go to a seat of theirs.
        quick: whether to drop into it.
        furniture: one of `motion.SEATS`, or "wheelchair".
        place: the seat; None for one of the actor's own of that kind, or one that happens to stand there.
    """
    place = place or _own_seat(actor, furniture)
    if place is not None:
        furniture = place.kind
        _go_before(actor, place)
    sitting = postures.seated(actor.rng, actor.facing(actor.ease), low=furniture == "sofa")
    lean = actor.facing(actor.posture + 0.45 * (sitting - actor.posture))
    lean[A["pitch"]] = np.deg2rad(actor.rng.uniform(15, 40))
    lean[A["spine_flex"]] += np.deg2rad(12)
    fit_s = 0.32 if quick else 0.75
    angles = actor.move([(actor.seconds(fit_s), lean), (actor.seconds(fit_s), sitting)])
    velocity = None if place is None else _onto(actor, angles, place)
    actor.act(angles, "sit down", velocity=velocity)
    note_seat(actor, furniture)


def _own_seat(actor: Actor, furniture: str) -> Support | None:
    """Give one of the actor's seats at home, of that kind if there is one."""
    fitting = [seat for seat in actor.seats if seat.kind == furniture] or list(actor.seats)
    return fitting[actor.rng.integers(len(fitting))] if fitting and furniture in SEATS else None


def _go_before(actor: Actor, place: Support) -> None:
    """Walk to where one stands before sitting down there, and turn the back to the seat."""
    before_m = 0.24 * actor.body.stature_m
    x_m, y_m = place.x_m + before_m * np.cos(place.yaw_rad), place.y_m + before_m * np.sin(place.yaw_rad)
    if np.hypot(x_m - actor.xy[0], y_m - actor.xy[1]) > 0.25:
        walk_to(actor, float(x_m), float(y_m))
    face(actor, float(np.rad2deg(place.yaw_rad)))


def _onto(actor: Actor, angles: Array, place: Support) -> Array:
    """Give (T, 2) m/s by which the feet must slide for the pelvis to end on the seat: a few centimetres in all."""
    feet = place_points(actor.body, angles[[0, -1]])[:, list(FEET), :2].mean(axis=1)
    missing = np.array([place.x_m, place.y_m]) - actor.xy + (feet[1] - feet[0])
    return np.repeat(missing[None] * RATE_HZ / len(angles), len(angles), axis=0)


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
