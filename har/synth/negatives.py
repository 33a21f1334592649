"""What looks like a fall and is none, by name: kneeling, lying down on purpose, exercise, play on the floor, dozing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from har.synth import postures
from har.synth.actor import Actor
from har.synth.body import A, Array
from har.synth.low import bend, get_up, lie, lie_down, rest_on_floor, rising, roll_over, sit_on_floor, squats
from har.synth.motion import RATE_HZ
from har.synth.postures import SIDES, set_angles
from har.synth.seat import doze, sit, sit_down, stand_up, start_seated, tie_shoes, wheel
from har.synth.upright import exercise, stand, turn, walk, walk_on, walk_to

OUT_M = 5.0
"""How far somebody walks who walks out of the picture."""


def act_negative(actor: Actor, kind: str, *, duration_s: float) -> None:
    """Act a hard negative on and on.

    Args:
        actor: who; on their feet, but for "wheelchair" at the beginning.
        kind: one of `kinds.NEGATIVES`.
        duration_s: at least this long.
    """
    actor.begin(kind)
    end_s = actor.duration_s + duration_s
    act = ACTS[kind]
    while actor.duration_s < end_s:
        act(actor)


def _posed(
    actor: Actor, posture: Array, label: str, *, there_s: float, hold_s: float, way: str = "", restless: float = 0.5
) -> None:
    """Get into a posture and stay in it, the hands doing things; `way` labels the getting there."""
    actor.act(actor.move([(actor.seconds(there_s), posture)]), way or label)
    hands = ("in front", "reach out", "table", "face")
    angles = actor.idle(hold_s, hands=hands, base=posture, restless=restless)
    actor.act(angles, label, feet_hold=0.0)


def _rise(actor: Actor, *, there_s: float = 1.4) -> None:
    """Get up from the knees by way of one foot."""
    base = actor.facing(actor.ease)
    half = postures.half_kneeling(actor.rng, base, side=str(actor.rng.choice(SIDES)))
    keys = [(actor.seconds(0.7 * there_s), half), (actor.seconds(there_s), base)]
    actor.act(actor.move(keys), "stand up", feet_hold=0.7)


def _about(actor: Actor) -> None:
    """Walk a few steps or stand for a moment."""
    if actor.rng.random() < 0.5:
        walk(actor, float(actor.rng.uniform(1.0, 3.0)))
    else:
        stand(actor, float(actor.rng.uniform(0.5, 2.0)))


def _kneel(actor: Actor) -> None:
    base = actor.facing(actor.ease)
    quick = float(actor.rng.uniform(0.5, 1.4))
    hold_s = float(actor.rng.uniform(2.0, 8.0))
    if actor.rng.random() < 0.5:
        down = postures.half_kneeling(actor.rng, base, side=str(actor.rng.choice(SIDES)))
    else:
        down = postures.kneeling(actor.rng, base)
        if actor.rng.random() < 0.4:  # sit back on the heels
            down = set_angles(down, postures.legs(thigh=75, shin=-88, foot=80, pitch=10) | {"pitch": 10.0})
    _posed(actor, down, "bend", there_s=quick, hold_s=hold_s)
    _rise(actor)
    _about(actor)


def _tie_shoes(actor: Actor) -> None:
    if actor.rng.random() < 0.5:
        sit_down(actor)
        sit(actor, 0.5)
        for _ in range(2):
            tie_shoes(actor)
        stand_up(actor)
    else:
        base = actor.facing(actor.ease)
        down = postures.half_kneeling(actor.rng, base, side=str(actor.rng.choice(SIDES)))
        if actor.rng.random() < 0.4:
            down = postures.stooping(actor.rng, base, depth=1.0)
        else:
            leant = np.deg2rad(45.0) - down[A["pitch"]]
            down = set_angles(down, {"pitch": 45, "spine_flex": 45, "arm_flex": 100, "elbow": 20})
            for side in SIDES:
                down[A[f"{side}_hip_flex"]] += leant
        _posed(actor, down, "bend", there_s=1.1, hold_s=float(actor.rng.uniform(3.0, 9.0)), restless=0.1)
        _rise(actor)
    _about(actor)


def _floor_sit(actor: Actor) -> None:
    sit_on_floor(actor)
    rest_on_floor(actor, float(actor.rng.uniform(3.0, 10.0)))
    get_up(actor)
    _about(actor)


def _lie_down(actor: Actor) -> None:
    furniture = str(actor.rng.choice(("bed", "sofa")))
    sit_down(actor, furniture=furniture, quick=bool(actor.rng.random() < 0.2))
    sit(actor, float(actor.rng.uniform(0.3, 2.0)))
    lie_down(actor)
    lie(actor, float(actor.rng.uniform(3.0, 10.0)))
    if actor.rng.random() < 0.3:
        roll_over(actor)
    get_up(actor)
    _about(actor)


def _pick_up(actor: Actor) -> None:
    bend(actor)
    if actor.rng.random() < 0.5:
        bend(actor, "stoop")
    _about(actor)


def _exercise(actor: Actor) -> None:
    chance = actor.rng.random()
    if chance < 0.2:
        squats(actor)
    elif chance < 0.35:
        exercise(actor, float(actor.rng.uniform(3.0, 6.0)))
    elif chance < 0.55:
        _jump(actor)
    elif chance < 0.75:
        _push_ups(actor)
    else:
        _stretch_on_mat(actor)
    stand(actor, float(actor.rng.uniform(0.5, 1.5)))


def _jump(actor: Actor) -> None:
    """Jumping jacks: down a little, off the floor, arms up."""
    base = actor.facing(actor.ease)
    low = set_angles(base, postures.legs(thigh=35, shin=-35, pitch=10) | {"pitch": 10.0})
    wide = set_angles(base, {"arm_abd": 150, "elbow": 8, "hip_abd": 20})
    n_jumps = int(actor.rng.integers(3, 9))
    beat_s = actor.seconds(0.32)
    arms_up = actor.rng.random() < 0.6
    for _ in range(n_jumps):
        actor.act(actor.move([(beat_s, low)]), "stand")
        angles = actor.move([(1.2 * beat_s, wide if arms_up else base), (beat_s, base)])
        air = np.sin(np.pi * np.clip(np.arange(len(angles)) / (0.6 * len(angles)), 0, 1))
        actor.act(angles, "stand", lift_m=float(actor.rng.uniform(0.05, 0.2)) * air)


def _push_ups(actor: Actor) -> None:
    """Down to the floor by the knees, some push-ups, up again."""
    base = actor.facing(actor.ease)
    fours = postures.all_fours(actor.rng, base)
    from_knees = actor.rng.random() < 0.4
    high = set_angles(fours, {"pitch": 74, "arm_flex": 82, "elbow": 4} | _straight_legs(knees=from_knees))
    low = set_angles(high, {"pitch": 86, "arm_flex": 40, "elbow": 85} | _straight_legs(knees=from_knees))
    actor.act(
        actor.move([(actor.seconds(1.2), postures.kneeling(actor.rng, base)), (actor.seconds(0.9), fours)]), "bend"
    )
    beat_s = actor.seconds(0.9)
    keys = [(actor.seconds(0.8), high)]
    keys += [(beat_s, posture) for _ in range(int(actor.rng.integers(3, 8))) for posture in (low, high)]
    actor.act(actor.move(keys), "bend", feet_hold=1.0)
    if actor.rng.random() < 0.4:
        flat = postures.lying(actor.rng, base, "prone")
        angles = actor.move([(actor.seconds(0.8), flat)])
        actor.act(angles, "lie", trunk_down=rising(len(angles)), feet_hold=0.0)
        lie(actor, float(actor.rng.uniform(1.0, 3.0)))
        get_up(actor)
        return
    actor.act(actor.move([(actor.seconds(0.9), fours)]), "bend", feet_hold=0.0)
    _rise(actor)


def _straight_legs(*, knees: bool) -> dict[str, float]:
    """Legs of a push-up: in line with the trunk, or on the knees."""
    if knees:
        return {"hip_flex": 0.0, "knee": 75.0, "ankle": 50.0}
    return {"hip_flex": 4.0, "knee": 4.0, "ankle": -15.0}


def _stretch_on_mat(actor: Actor) -> None:
    """Sit and lie on a mat: reach for the toes, draw up the knees, lift a leg."""
    sit_on_floor(actor)
    sitting = actor.posture.copy()
    reach = set_angles(sitting, {"pitch": 15, "spine_flex": 55, "arm_flex": 115, "elbow": 8})
    for side in SIDES:
        reach[A[f"{side}_hip_flex"]] += np.deg2rad(15) - sitting[A["pitch"]]
    keys = [(actor.seconds(1.2), p) for _ in range(int(actor.rng.integers(1, 4))) for p in (reach, sitting)]
    actor.act(actor.move(keys), "sit", feet_hold=0.0)
    if actor.rng.random() < 0.6:
        lie_down(actor, "supine")
        flat = actor.posture.copy()
        for _ in range(int(actor.rng.integers(2, 5))):
            side = str(actor.rng.choice(SIDES))
            up = set_angles(
                flat, {f"{side}_hip_flex": actor.rng.uniform(50, 90), f"{side}_knee": actor.rng.uniform(0, 90)}
            )
            keys = [(actor.seconds(1.0), up), (actor.seconds(1.0), flat)]
            actor.act(actor.move(keys), "lie", feet_hold=0.0, trunk_down=1.0)
    get_up(actor)


def _floor_play(actor: Actor) -> None:
    """Play with a child or a dog: on hands and knees, on the heels, sitting, lying on one side."""
    rng, base = actor.rng, actor.facing(actor.ease)
    actor.act(actor.move([(actor.seconds(1.1), postures.kneeling(rng, base))]), "bend")
    for _ in range(int(rng.integers(2, 5))):
        base = actor.facing(actor.ease)
        chance = rng.random()
        if chance < 0.4:
            _crawl_about(actor)
        elif chance < 0.7:
            _posed(
                actor,
                postures.kneeling(rng, base),
                "bend",
                there_s=0.9,
                hold_s=float(rng.uniform(1.5, 4)),
                restless=0.9,
            )
        else:
            _posed(actor, postures.on_floor_seat(rng, base), "sit", there_s=1.1, hold_s=float(rng.uniform(2, 6)),
                   way="sit down", restless=0.9)  # fmt: skip
    if rng.random() < 0.3:
        actor.act(actor.move([(actor.seconds(0.9), postures.on_floor_seat(rng, base))]), "sit down")
        lie_down(actor, str(rng.choice(("left side", "right side", "supine"))))
        lie(actor, float(rng.uniform(1.5, 5.0)), still=0.1)
        get_up(actor)
    else:
        actor.act(actor.move([(actor.seconds(0.9), postures.kneeling(rng, actor.facing(actor.ease)))]), "bend")
        _rise(actor)
    _about(actor)


def _crawl_about(actor: Actor) -> None:
    """Go on hands and knees for a few seconds."""
    rng = actor.rng
    fours = postures.all_fours(rng, actor.facing(actor.ease))
    actor.act(actor.move([(actor.seconds(0.9), fours)]), "bend", feet_hold=0.0)
    n_frames = round(rng.uniform(1.5, 4.0) * RATE_HZ)
    time_s = np.arange(1, n_frames + 1) / RATE_HZ
    ramp = np.clip(np.minimum(time_s, time_s[-1] - time_s) / 0.4, 0, 1)
    phase = 2 * np.pi * 0.7 * actor.style.pace * time_s
    angles = np.repeat(fours[None], n_frames, axis=0)
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        swing = sign * np.sin(phase) * ramp
        angles[:, A[f"{side}_arm_flex"]] += np.deg2rad(16) * swing
        angles[:, A[f"{side}_hip_flex"]] -= np.deg2rad(14) * swing
    angles[:, A["yaw"]] += rng.uniform(-1.0, 1.0) * time_s / time_s[-1]
    angles[:, A["head_twist"]] += 0.4 * np.sin(0.5 * phase) * ramp
    speed = 0.35 * actor.style.pace * ramp
    way = np.stack([np.cos(angles[:, A["yaw"]]), np.sin(angles[:, A["yaw"]])], axis=1)
    actor.act(actor.smooth(angles), "bend", feet_hold=0.0, velocity=speed[:, None] * way)


def _bend(actor: Actor) -> None:
    """Bend over a bed or a table for a while and work there."""
    down = postures.stooping(actor.rng, actor.facing(actor.ease), depth=float(actor.rng.uniform(0.4, 1.0)))
    _posed(actor, down, "bend", there_s=0.9, hold_s=float(actor.rng.uniform(2.0, 8.0)), restless=0.9)
    actor.act(actor.move([(actor.seconds(0.9), actor.facing(actor.ease))]), "bend")
    _about(actor)


def _doze(actor: Actor) -> None:
    sit_down(actor, furniture=str(actor.rng.choice(("chair", "sofa"))))
    sit(actor, float(actor.rng.uniform(0.5, 3.0)))
    doze(actor, float(actor.rng.uniform(4.0, 12.0)))
    sit(actor, float(actor.rng.uniform(0.5, 2.0)))
    stand_up(actor)
    _about(actor)


def _plop(actor: Actor) -> None:
    sit_down(actor, furniture="sofa" if actor.rng.random() < 0.7 else "chair", quick=True)
    sit(actor, float(actor.rng.uniform(2.0, 6.0)))
    stand_up(actor)
    _about(actor)


def _reach_under(actor: Actor) -> None:
    """Look for something under a table or a bed: on the knees, the chest low, one arm far ahead."""
    rng, base = actor.rng, actor.facing(actor.ease)
    side = str(rng.choice(SIDES))
    down = postures.all_fours(rng, base)
    deep = set_angles(down, {"pitch": rng.uniform(92, 108), "spine_flex": rng.uniform(-5, 15), "head_side": 15}
                      | postures.legs(thigh=rng.uniform(0, 25), shin=-90, foot=75, pitch=100)
                      | {f"{side}_arm_flex": rng.uniform(140, 165), f"{side}_elbow": rng.uniform(5, 30)})  # fmt: skip
    actor.act(actor.move([(actor.seconds(1.0), postures.kneeling(rng, base)), (actor.seconds(0.8), down)]), "bend")
    _posed(actor, deep, "bend", there_s=0.8, hold_s=float(rng.uniform(2.0, 7.0)), restless=0.2)
    actor.act(actor.move([(actor.seconds(0.8), down)]), "bend", feet_hold=0.0)
    _rise(actor)
    _about(actor)


def _in_out(actor: Actor) -> None:
    """Walk far out of the middle, stay away for a moment, come back."""
    way = actor.rng.uniform(-np.pi, np.pi)
    out = OUT_M * np.array([np.cos(way), np.sin(way)]) if actor.door_m is None else actor.door_m
    walk_to(actor, float(out[0]), float(out[1]))
    stand(actor, float(actor.rng.uniform(0.5, 3.0)))
    walk_to(actor, *(float(value) for value in actor.rng.uniform(-0.8, 0.8, 2)))
    stand(actor, float(actor.rng.uniform(0.5, 2.0)))


def _close(actor: Actor) -> None:
    """Walk up to where the camera will be put, and away again."""
    walk_on(actor, float(actor.rng.uniform(1.0, 2.0)))
    stand(actor, float(actor.rng.uniform(0.5, 3.0)))
    if actor.rng.random() < 0.3:
        bend(actor, "stoop")
    turn(actor, float(actor.rng.uniform(90, 180)))
    walk(actor, float(actor.rng.uniform(2.0, 5.0)))


def _wheelchair(actor: Actor) -> None:
    if actor.seat_m == 0 and actor.duration_s == 0:
        start_seated(actor, furniture="wheelchair")
    elif actor.seat_m == 0:
        sit_down(actor, furniture="wheelchair")
    wheel(actor, float(actor.rng.uniform(3.0, 8.0)))
    sit(actor, float(actor.rng.uniform(1.0, 4.0)))
    if actor.rng.random() < 0.15:
        tie_shoes(actor)


def _walker(actor: Actor) -> None:
    """Walk with a walking frame, sit down slowly, get up slowly; the style sees to the slowness."""
    walk(actor, float(actor.rng.uniform(3.0, 8.0)))
    if actor.rng.random() < 0.4:
        sit_down(actor)
        sit(actor, float(actor.rng.uniform(1.0, 4.0)))
        stand_up(actor)
    else:
        stand(actor, float(actor.rng.uniform(1.0, 3.0)))


ACTS: Mapping[str, Callable[[Actor], None]] = {
    "kneel": _kneel,
    "tie-shoes": _tie_shoes,
    "floor-sit": _floor_sit,
    "lie-down": _lie_down,
    "pick-up": _pick_up,
    "exercise": _exercise,
    "floor-play": _floor_play,
    "bend": _bend,
    "doze": _doze,
    "plop": _plop,
    "reach-under": _reach_under,
    "in-out": _in_out,
    "close": _close,
    "wheelchair": _wheelchair,
    "walker": _walker,
}
