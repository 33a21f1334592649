"""How people fall: an inverted pendulum for the tilt, and what the limbs do on the way down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from har.synth.body import A, Array
from har.synth.postures import legs, set_angles

GRAVITY_M_S2 = 9.81
STEP_S = 0.005
FROM_STANDING_S = (0.5, 1.1)
"""Time from the loss of balance to the ground: real falls of UP-Fall take 0.7 to 0.9 s (read from video, +-0.25 s)."""

DIRECTIONS = ("forward", "backward", "left", "right")


@dataclass(frozen=True, slots=True, eq=False)
class Fall:
    """One fall as postures.

    Attributes:
        postures: (T, A) joint angles, from the loss of balance to lying after the rebound.
        feet_hold: (T,) in [0, 1]: how much the feet keep their place, else the pelvis does.
        ground_frame: index of the first frame with the trunk on the ground.
    """

    postures: Array
    feet_hold: Array
    ground_frame: int


def tilt_over_time(*, height_m: float, start_rad: float, speed_rad_s: float, end_rad: float, rate_hz: float) -> Array:
    """Let a rod tip over about its foot: theta'' = 3 g / (2 L) sin(theta), integrated with midpoint steps.

    Args:
        height_m: length L of the rod; a body that folds tips like a shorter one.
        start_rad: tilt at the start, above 0.
        speed_rad_s: angular speed at the start.
        end_rad: tilt at the ground.
        rate_hz: of the answer.

    Returns:
        (T,) tilt in radians from `start_rad` up to and with the first frame at `end_rad`.
    """
    pull = 1.5 * GRAVITY_M_S2 / height_m
    angle, speed = start_rad, speed_rad_s
    track = [angle]
    while angle < end_rad and len(track) * STEP_S < 6.0:
        middle_speed = speed + 0.5 * STEP_S * pull * np.sin(angle)
        middle_angle = angle + 0.5 * STEP_S * speed
        speed += STEP_S * pull * np.sin(middle_angle)
        angle += STEP_S * middle_speed
        track.append(angle)
    fine_s = np.arange(len(track)) * STEP_S
    n_frames = int(np.ceil(fine_s[-1] * rate_hz)) + 1
    return np.minimum(np.interp(np.arange(n_frames) / rate_hz, fine_s, track), end_rad)


def standing_fall_progress(rng: np.random.Generator, *, stature_m: float, rate_hz: float) -> Array:
    """Draw how far a fall from standing has come over time.

    Returns:
        (T,) from 0 at the loss of balance to 1 on the ground, accelerating, reached within `FROM_STANDING_S`.
    """
    while True:
        tilt = tilt_over_time(
            height_m=stature_m * rng.uniform(0.6, 1.0),
            start_rad=rng.uniform(0.06, 0.18),
            speed_rad_s=rng.uniform(0.3, 1.6),
            end_rad=rng.uniform(1.40, 1.55),
            rate_hz=rate_hz,
        )
        if FROM_STANDING_S[0] <= (len(tilt) - 1) / rate_hz <= FROM_STANDING_S[1]:
            return np.asarray((tilt - tilt[0]) / (tilt[-1] - tilt[0]))


def slump_progress(rng: np.random.Generator, *, rate_hz: float) -> Array:
    """Draw a slow collapse: knees that give way hold back at first, then no more; 1.2 to 2.6 s."""
    duration_s = rng.uniform(1.2, 2.6)
    n_frames = int(duration_s * rate_hz) + 1
    return np.linspace(0.0, 1.0, n_frames) ** rng.uniform(1.3, 2.2)


def _between(progress: Array, keys: list[tuple[float, Array]]) -> Array:
    """Give postures (T, A) at each progress from (progress, posture) keys, eased between them."""
    at = np.array([key for key, _ in keys])
    postures = np.stack([posture for _, posture in keys])
    index = np.clip(np.searchsorted(at, progress, side="right") - 1, 0, len(keys) - 2)
    share = np.clip((progress - at[index]) / (at[index + 1] - at[index]), 0.0, 1.0)[:, None]
    return np.asarray(postures[index] * (1 - share) + postures[index + 1] * share)


def _rebound(rng: np.random.Generator, *, rate_hz: float) -> Array:
    """Progress just after the impact: a small bounce that dies out in 0.5 s."""
    time_s = np.arange(1, int(0.5 * rate_hz) + 1) / rate_hz
    height = rng.uniform(0.01, 0.05)
    return 1.0 - height * np.abs(np.sin(2 * np.pi * time_s / 0.36)) * np.exp(-time_s / 0.15)


def make_fall(
    rng: np.random.Generator, start: Array, end: Array, *, direction: str, slump: bool, stature_m: float, rate_hz: float
) -> Fall:
    """Let somebody fall.

    Args:
        rng: source of the differences.
        start: (A,) posture at the loss of balance: standing, walking or sitting.
        end: (A,) posture on the ground; must lie the way that `direction` leads, see `landing`.
        direction: one of `DIRECTIONS`.
        slump: whether the knees give way slowly instead of the body tipping over.
        stature_m: of the body.
        rate_hz: frames per second of the answer.
    """
    if slump:
        progress = slump_progress(rng, rate_hz=rate_hz)
    else:
        progress = standing_fall_progress(rng, stature_m=stature_m, rate_hz=rate_hz)
    keys = [(0.0, start), *_on_the_way(rng, start, end, direction=direction, slump=slump), (1.0, end)]
    ground_frame = len(progress) - 1
    progress = np.concatenate([progress, _rebound(rng, rate_hz=rate_hz)])
    feet_hold = np.clip((0.85 - progress) / 0.25, 0.0, 1.0)
    return Fall(postures=_between(progress, keys), feet_hold=feet_hold, ground_frame=ground_frame)


def _on_the_way(
    rng: np.random.Generator, start: Array, end: Array, *, direction: str, slump: bool
) -> list[tuple[float, Array]]:
    """Postures between balance and ground: knees and hips fold, arms reach for the floor."""
    if slump:
        return _slump_keys(rng, start, end)
    fold = rng.uniform(0.1, 1.0)
    middle = 0.5 * (start + end)
    reach: Mapping[str, float]
    if direction == "forward":
        reach = {"arm_flex": rng.uniform(70, 125), "elbow": rng.uniform(15, 50), "arm_abd": 15, "head_flex": -25}
        reach = dict(reach) | {"hip_flex": 10 + 35 * fold, "knee": 15 + 70 * fold, "ankle": 10}
    elif direction == "backward":
        reach = {"arm_flex": rng.uniform(-45, 70), "arm_abd": rng.uniform(20, 60), "elbow": 30, "head_flex": 25}
        reach = dict(reach) | {"hip_flex": 20 + 65 * fold, "knee": 15 + 60 * fold, "ankle": 0}
    else:
        reach = {f"{direction}_arm_abd": rng.uniform(50, 95), f"{direction}_elbow": rng.uniform(10, 45)}
        reach = dict(reach) | {"hip_flex": 10 + 40 * fold, "knee": 15 + 65 * fold}
    if rng.random() < 0.2:  # fainted: no reaching
        reach = {name: value for name, value in reach.items() if name in ("hip_flex", "knee", "ankle")}
    startled = start + 0.25 * (set_angles(middle, reach) - start)
    return [(0.18, startled), (rng.uniform(0.5, 0.62), set_angles(middle, reach))]


def _slump_keys(rng: np.random.Generator, start: Array, end: Array) -> list[tuple[float, Array]]:
    """Knees and hips give way under an upright trunk, then the trunk tips."""
    pitch = rng.uniform(0, 30)
    deep = rng.uniform(75, 110)
    low = set_angles(
        start + 0.2 * (end - start),
        legs(thigh=deep * 0.7, shin=-deep * 0.6, foot=35, pitch=pitch)
        | {"pitch": pitch, "spine_flex": rng.uniform(15, 45), "head_flex": rng.uniform(0, 40), "arm_flex": 20},
    )
    half = set_angles(
        start + 0.1 * (end - start),
        legs(thigh=deep * 0.35, shin=-deep * 0.3, foot=10, pitch=pitch * 0.5) | {"pitch": pitch * 0.5},
    )
    return [(0.3, half), (0.62, low)]


def landing(rng: np.random.Generator, lying: Array, *, direction: str) -> Array:
    """Turn a supine way to lie into the one that a fall to `direction` ends in.

    Args:
        rng: source of the differences.
        lying: (A,) a supine posture.
        direction: one of `DIRECTIONS`.
    """
    if direction == "backward":
        return set_angles(lying, {"pitch": -88.0, "spin": rng.uniform(-25, 25)})
    if direction == "forward":
        twist = rng.choice([-1.0, 1.0]) * rng.uniform(30, 75)
        arms = {"arm_flex": rng.uniform(20, 140), "elbow": rng.uniform(30, 110), "arm_abd": rng.uniform(10, 40)}
        legs_out = {"hip_flex": rng.uniform(-4, 6), "hip_abd": rng.uniform(2, 18), "hip_rot": 10.0, "ankle": 45}
        legs_out |= {"left_knee": rng.uniform(0, 35), "right_knee": rng.uniform(0, 35)}
        face = {"pitch": 88.0, "spin": rng.uniform(-25, 25), "head_twist": twist, "head_flex": -8}
        return set_angles(lying, face | arms | legs_out)
    tilt = 86.0 if direction == "right" else -86.0
    bent = {"hip_flex": rng.uniform(5, 60), "knee": rng.uniform(10, 80), "arm_abd": 8, "hip_abd": 2}
    posture = set_angles(lying, {"pitch": 0.0, "roll": tilt, "spin": rng.uniform(-25, 45) * np.sign(tilt)} | bent)
    posture[A[f"{direction}_arm_flex"]] = np.deg2rad(rng.uniform(30, 110))
    return posture
