"""What somebody does near the floor or in bed: bend, kneel, sit on the floor, lie, get up again."""

from __future__ import annotations

import numpy as np

from har.synth import postures
from har.synth.actor import Actor
from har.synth.body import N_ANGLES, A, Array
from har.synth.motion import RATE_HZ, SEATS
from har.synth.seat import sit, stand_up, start_seated

_BED_SHIFT_M = 0.22  # from the edge, where one sits, to where one lies


def bend(actor: Actor, kind: str | None = None) -> None:
    """Pick something up: "stoop", "squat" or "kneel" on one knee; None draws one."""
    base = actor.facing(actor.ease)
    chosen = kind or str(actor.rng.choice(("stoop", "squat", "kneel"), p=(0.6, 0.22, 0.18)))
    if chosen == "stoop":
        down = postures.stooping(actor.rng, base, depth=float(actor.rng.uniform(0.55, 1.0)))
    elif chosen == "squat":
        down = postures.squatting(actor.rng, base)
    else:
        down = postures.half_kneeling(actor.rng, base, side=str(actor.rng.choice(postures.SIDES)))
    hold_s = float(actor.rng.uniform(0.2, 2.5))
    angles = actor.move([(actor.seconds(1.0), down), (hold_s, down), (actor.seconds(1.0), base)])
    actor.act(angles + actor.sway(len(angles), degrees=0.8), "bend")


def squats(actor: Actor) -> None:
    """Do two to five squats for exercise."""
    base = actor.facing(actor.ease)
    down = postures.with_hands(actor.rng, postures.squatting(actor.rng, base), "reach out")
    keys = [(actor.seconds(0.9), posture) for _ in range(actor.rng.integers(2, 6)) for posture in (down, base)]
    actor.act(actor.move(keys), "bend")


def sit_on_floor(actor: Actor) -> None:
    """Sit down on the floor on purpose, by way of a squat or the knees."""
    base = actor.facing(actor.ease)
    way = postures.squatting(actor.rng, base) if actor.rng.random() < 0.5 else postures.kneeling(actor.rng, base)
    sitting = postures.on_floor_seat(actor.rng, base)
    actor.act(actor.move([(actor.seconds(1.3), way), (actor.seconds(1.2), sitting)]), "sit down")
    actor.seat_m = 0.0


def rest_on_floor(actor: Actor, duration_s: float) -> None:
    """Stay sitting on the floor."""
    hands = ("in front", "drink", "phone", "reach out", "knees")
    angles = actor.idle(duration_s, hands=hands, base=actor.posture.copy(), restless=0.5)
    actor.act(angles, "sit", feet_hold=0.0)


def lie_down(actor: Actor, kind: str | None = None) -> None:
    """Lie down on purpose, slowly: from the edge of the bed if seated on one, else by way of knees and seat.

    Args:
        actor: who.
        kind: one of `postures.LYING`; None draws one.
    """
    chosen = kind or str(actor.rng.choice(postures.LYING, p=(0.4, 0.05, 0.2, 0.2, 0.15)))
    if actor.seat_m > 0:
        _lie_down_on_bed(actor, chosen)
        return
    base = actor.facing(actor.ease)
    if actor.posture[A["pitch"]] > -0.05:
        actor.act(actor.move([(actor.seconds(1.4), postures.kneeling(actor.rng, base))]), "bend")
        actor.act(actor.move([(actor.seconds(1.3), postures.on_floor_seat(actor.rng, base))]), "sit down")
    end = postures.lying(actor.rng, base, chosen)
    way = actor.posture + 0.5 * (end - actor.posture)
    way[A["spin"]] = 0.0
    angles = actor.move([(actor.seconds(1.2), way), (actor.seconds(1.4), end)])
    labels = switched(len(angles), "sit", "lie", share=0.5)
    actor.act(angles, labels, feet_hold=0.0, trunk_down=rising(len(angles)))


def _lie_down_on_bed(actor: Actor, kind: str) -> None:
    aside = actor.posture.copy()
    turn = float(actor.rng.choice((-1.0, 1.0))) * np.pi / 2
    end = postures.lying(actor.rng, actor.facing(actor.ease), "supine" if kind == "prone" else kind)
    end[A["yaw"]] += turn
    spin = end[A["spin"]]
    aside += 0.5 * (end - aside)
    aside[A["spin"]] = 0.0
    flat = end.copy()
    flat[A["spin"]] = 0.4 * spin
    keys = [(actor.seconds(1.3), aside), (actor.seconds(1.3), flat), (actor.seconds(0.8), end)]
    angles = actor.move(keys)
    velocity = across_bed(actor, len(angles), distance_m=-_BED_SHIFT_M)
    labels = switched(len(angles), "sit", "lie", share=0.5)
    actor.act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=actor.seat_m)


def bed_yaw_rad(actor: Actor) -> float:
    """The way that somebody faces who sits on the edge of the bed last used."""
    return next(support.yaw_rad for support in reversed(actor.supports) if support.kind in SEATS)


def across_bed(actor: Actor, n_frames: int, *, distance_m: float) -> Array:
    """Give (T, 2) of the velocity that moves the pelvis towards the edge of the bed, or away from it."""
    way = np.array([np.cos(bed_yaw_rad(actor)), np.sin(bed_yaw_rad(actor))])
    return np.repeat(way[None] * distance_m * RATE_HZ / n_frames, n_frames, axis=0)


def start_lying(actor: Actor, *, bed: bool, edge_m: float = _BED_SHIFT_M) -> None:
    """Begin the clip lying on a bed, `edge_m` behind where one sits on its edge, or on the floor."""
    if bed:
        start_seated(actor, furniture="bed")
        actor.xy = actor.xy - edge_m * np.array([np.cos(actor.yaw_rad), np.sin(actor.yaw_rad)])
        actor.posture[A["yaw"]] += float(actor.rng.choice((-1.0, 1.0))) * np.pi / 2
    actor.posture = postures.lying(actor.rng, actor.facing(actor.ease), str(actor.rng.choice(postures.LYING)))


def lie(actor: Actor, duration_s: float, *, still: float = 0.6) -> None:
    """Stay lying, or sitting as one slumped down, with small movements of arms, legs and head.

    Args:
        actor: who.
        duration_s: how long.
        still: share of the time without any movement.
    """
    base = actor.posture.copy()
    keys: list[tuple[float, Array]] = []
    left_s = duration_s
    while left_s > 2.0:
        part_s = float(actor.rng.uniform(0.6, 2.0))
        change = np.zeros(N_ANGLES)
        if actor.rng.random() > still:
            side, lift = str(actor.rng.choice(postures.SIDES)), float(np.deg2rad(actor.rng.uniform(-8, 30)))
            pair = ("hip_flex", "knee") if actor.rng.random() < 0.5 else ("arm_abd", "elbow")
            change[[A[f"{side}_{name}"] for name in pair]] = lift, 2 * lift
            change[A["head_twist"]] = np.deg2rad(actor.rng.uniform(-20, 20))
        keys.append((part_s, base + change))
        left_s -= part_s
    keys.append((max(left_s, 0.3), base))
    angles = actor.move(keys)
    support_m = actor.seat_m if actor.seat_m > 0 else None
    actor.act(angles + actor.sway(len(angles), degrees=0.4), "lie", feet_hold=0.0, support_m=support_m, trunk_down=1.0)


def roll_over(actor: Actor) -> None:
    """Turn over from the back to a side, or back."""
    end = actor.posture.copy()
    end[A["spin"]] = 0.0 if abs(end[A["spin"]]) > 0.7 else np.deg2rad(actor.rng.choice((-80.0, 80.0)))
    support_m = actor.seat_m if actor.seat_m > 0 else None
    actor.act(actor.move([(actor.seconds(1.2), end)]), "lie", feet_hold=0.0, support_m=support_m, trunk_down=1.0)


def get_up(actor: Actor) -> None:
    """Get up from lying: from a bed by its edge, from the floor by sitting or by hands and knees."""
    base = actor.facing(actor.ease)
    if actor.seat_m > 0:
        turn = bed_yaw_rad(actor) - actor.yaw_rad
        base[A["yaw"]] += (turn + np.pi) % (2 * np.pi) - np.pi
        sitting = postures.seated(actor.rng, base)
        angles = actor.move([(actor.seconds(2.0), sitting)])
        labels = switched(len(angles), "lie", "sit", share=0.5)
        velocity = across_bed(actor, len(angles), distance_m=_BED_SHIFT_M)
        actor.act(angles, labels, feet_hold=0.0, velocity=velocity, support_m=actor.seat_m)
        sit(actor, 0.4)
        stand_up(actor)
        return
    face_down = actor.posture[A["pitch"]] > 0.5
    way = postures.all_fours(actor.rng, base) if face_down else postures.on_floor_seat(actor.rng, base)
    sits = actor.last_label == "sit"
    angles = actor.move([(actor.seconds(1.8), way)])
    labels = switched(len(angles), actor.last_label or "lie", "stand up", share=0.3)
    actor.act(angles, labels, feet_hold=0.0, trunk_down=0.0 if sits else 1.0 - rising(len(angles)))
    kneeling = postures.half_kneeling(actor.rng, base, side=str(actor.rng.choice(postures.SIDES)))
    keys = [(actor.seconds(1.4), kneeling), (actor.seconds(1.5), base)]
    actor.act(actor.move(keys), "stand up", feet_hold=0.6)


def rising(n_frames: int) -> Array:
    """Give (T,) from 0 to 1, eased."""
    share = np.linspace(0.0, 1.0, n_frames)
    return np.asarray(share * share * (3 - 2 * share))


def switched(n_frames: int, before: str, after: str, *, share: float) -> list[str]:
    """Give one label a frame: `before` for a share of them, then `after`."""
    n_before = round(n_frames * share)
    return [before] * n_before + [after] * (n_frames - n_before)


def struggle(actor: Actor, duration_s: float) -> None:
    """Try to get up from the floor and fail: draw up legs, push with the arms, roll, sink back."""
    base, keys, left_s = actor.posture.copy(), [], duration_s
    while left_s > 0.5:
        effort = base.copy()
        side = str(actor.rng.choice(postures.SIDES))
        for name, most in (("hip_flex", 70), ("knee", 90), ("arm_abd", 60), ("elbow", 70), ("arm_flex", 50)):
            effort[A[f"{side}_{name}"]] += np.deg2rad(actor.rng.uniform(0, most))
        effort[A["spine_flex"]] += np.deg2rad(actor.rng.uniform(0, 25))
        effort[A["head_flex"]] += np.deg2rad(actor.rng.uniform(0, 30))
        effort[A["spin"]] += np.deg2rad(actor.rng.uniform(-25, 25))
        there_s, hold_s = float(actor.rng.uniform(0.5, 1.3)), float(actor.rng.uniform(0.1, 0.8))
        keys += [(there_s, effort), (hold_s, effort), (there_s, base)]
        left_s -= 2 * there_s + hold_s
    actor.act(actor.move(keys), "lie", feet_hold=0.0, trunk_down=1.0)


def _turn_onto_belly(actor: Actor) -> Array:
    """Roll over onto the forearms, the head staying where it is; gives the posture."""
    flat = postures.lying(actor.rng, actor.facing(actor.ease), "prone")
    for side in postures.SIDES:
        flat[A[f"{side}_arm_flex"]], flat[A[f"{side}_elbow"]] = np.deg2rad(120.0), np.deg2rad(80.0)
    if actor.posture[A["pitch"]] >= 0:
        actor.act(actor.move([(actor.seconds(1.4), flat)]), "lie", feet_hold=0.0, trunk_down=1.0)
        return flat
    rolled = flat.copy()  # the same posture told from the other side: lying on the back, turned by half a turn
    half_turn = np.pi * (np.sign(actor.posture[A["spin"]]) or 1.0)
    rolled[[A["pitch"], A["spin"]]] = -flat[A["pitch"]], half_turn
    actor.act(actor.move([(actor.seconds(2.0), rolled)]), "lie", feet_hold=0.0, trunk_down=1.0)
    flat[A["yaw"]] = rolled[A["yaw"]] + np.pi
    actor.posture = flat.copy()
    return flat


def crawl(actor: Actor, duration_s: float) -> None:
    """Turn onto the belly and drag oneself along on the forearms; "lie" all through."""
    flat = _turn_onto_belly(actor)
    n_frames = max(2, round(duration_s * RATE_HZ))
    phase = 2 * np.pi * 0.45 * actor.style.pace * np.arange(n_frames) / RATE_HZ
    angles = np.repeat(flat[None], n_frames, axis=0)
    for side, sign in zip(postures.SIDES, (1.0, -1.0), strict=True):
        swing = sign * np.sin(phase)
        angles[:, A[f"{side}_arm_flex"]] += np.deg2rad(22) * swing
        angles[:, A[f"{side}_elbow"]] -= np.deg2rad(25) * swing
        angles[:, A[f"{side}_hip_flex"]] += np.deg2rad(30) * np.clip(swing, 0, 1)
        angles[:, A[f"{side}_hip_abd"]] += np.deg2rad(25) * np.clip(swing, 0, 1)
        angles[:, A[f"{side}_knee"]] += np.deg2rad(60) * np.clip(swing, 0, 1)
    angles[:, A["spine_side"]] += np.deg2rad(8) * np.sin(phase)
    way = np.array([np.cos(actor.yaw_rad), np.sin(actor.yaw_rad)])
    speed = 0.12 * actor.style.pace * (1 + np.sin(2 * phase))
    actor.act(actor.smooth(angles), "lie", feet_hold=0.0, velocity=speed[:, None] * way, trunk_down=1.0)
