"""Still postures as joint angles: standing, sitting, bending, kneeling, lying, and what hands do meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from har.synth.body import N_ANGLES, A, Array

SIDES = ("left", "right")


def set_angles(base: Array, degrees: Mapping[str, float]) -> Array:
    """Copy a posture with some angles changed.

    Args:
        base: (A,) radians.
        degrees: new values by name; a name without its side ("knee") sets both sides.
    """
    posture = base.copy()
    for name, value in degrees.items():
        targets = (name,) if name in A else tuple(f"{side}_{name}" for side in SIDES)
        for target in targets:
            posture[A[target]] = np.deg2rad(value)
    return posture


def leg(side: str, *, thigh: float, shin: float, foot: float = 0.0, pitch: float = 0.0) -> dict[str, float]:
    """Give one leg's angles from directions in the body's plane, in degrees.

    Args:
        side: "left" or "right".
        thigh: of the thigh: 0 hangs down, 90 points forward.
        shin: of the shin, the same way; negative is with the foot behind the knee.
        foot: of the sole: 0 flat, positive with toes down.
        pitch: the pelvis' own tilt forward.
    """
    return {f"{side}_hip_flex": thigh + pitch, f"{side}_knee": thigh - shin, f"{side}_ankle": foot + shin}


def legs(*, thigh: float, shin: float, foot: float = 0.0, pitch: float = 0.0) -> dict[str, float]:
    """Give both legs' angles, see `leg`."""
    both = (leg(side, thigh=thigh, shin=shin, foot=foot, pitch=pitch) for side in SIDES)
    return {name: value for one in both for name, value in one.items()}


def upright(rng: np.random.Generator, *, stoop_deg: float) -> Array:
    """Draw a way to stand at ease: arms down, feet a little apart.

    Args:
        rng: source of the small differences.
        stoop_deg: how far the back is bent; 0 to 35.
    """
    knee = rng.uniform(2, 6) + 0.3 * stoop_deg
    return set_angles(
        np.zeros(N_ANGLES),
        {
            "spine_flex": stoop_deg,
            "head_flex": rng.uniform(-5, 8) - 0.5 * stoop_deg,
            "arm_flex": rng.uniform(-4, 6) + 0.8 * stoop_deg,
            "arm_abd": rng.uniform(5, 12),
            "arm_rot": rng.uniform(0, 40),
            "elbow": rng.uniform(6, 25),
            "hip_abd": rng.uniform(1, 7),
            "hip_rot": rng.uniform(0, 14),
            **legs(thigh=0.5 * knee, shin=-0.5 * knee),
        },
    )


def seated(rng: np.random.Generator, ease: Array, *, low: bool = False) -> Array:
    """Draw a way to sit on a chair, arms resting.

    Args:
        rng: source of the differences.
        ease: how this person stands.
        low: whether the seat is low and soft, as a sofa's: the knees are higher, the back leans.
    """
    pitch = rng.uniform(-28, -8) if low else rng.uniform(-18, 8)
    return set_angles(
        ease,
        {
            "pitch": pitch,
            "spine_flex": np.rad2deg(ease[A["spine_flex"]]) + rng.uniform(0, 14) - 0.4 * pitch,
            **legs(thigh=rng.uniform(80, 96) + 10 * low, shin=rng.uniform(-14, 12) + 10 * low, pitch=pitch),
            "hip_abd": rng.uniform(2, 14),
            **_resting_arms(rng),
        },
    )


def _resting_arms(rng: np.random.Generator) -> dict[str, float]:
    """Hands on the thighs or on arm rests."""
    if rng.random() < 0.5:
        return {"arm_flex": rng.uniform(18, 32), "arm_abd": rng.uniform(6, 16), "arm_rot": 35, "elbow": 62}
    return {"arm_flex": rng.uniform(0, 15), "arm_abd": rng.uniform(12, 26), "arm_rot": 10, "elbow": rng.uniform(70, 95)}


def on_floor_seat(rng: np.random.Generator, ease: Array) -> Array:
    """Draw a way to sit on the floor: legs out, knees up, or tailor-fashion."""
    kind = rng.integers(3)
    pitch = rng.uniform(-25, -5)
    if kind == 0:
        lower = legs(thigh=rng.uniform(88, 96), shin=rng.uniform(75, 90), foot=-70, pitch=pitch)
        lower |= {"hip_abd": rng.uniform(4, 16), "ankle": 0}
    elif kind == 1:
        lower = legs(thigh=rng.uniform(115, 135), shin=rng.uniform(-35, 0), pitch=pitch) | {"hip_abd": 8}
    else:
        lower = {"hip_flex": 85 + pitch, "hip_abd": 40, "hip_rot": 55, "knee": rng.uniform(105, 130), "ankle": 10}
    if rng.random() < 0.5:
        arms = {"arm_flex": rng.uniform(-50, -30), "arm_abd": 20, "elbow": rng.uniform(5, 20)}
    else:
        arms = {"arm_flex": rng.uniform(30, 60), "arm_abd": 8, "elbow": rng.uniform(20, 70), "arm_rot": 40}
    return set_angles(ease, {"pitch": pitch, "spine_flex": rng.uniform(10, 35), "head_flex": 5} | lower | arms)


def stooping(rng: np.random.Generator, ease: Array, *, depth: float) -> Array:
    """Draw a bend from the hips.

    Args:
        rng: source of the differences.
        ease: how this person stands.
        depth: 0 hardly, 1 hands at the floor.
    """
    pitch, spine = 20 + 55 * depth, 15 + 35 * depth
    knee = rng.uniform(4, 45) * depth
    reach = pitch + spine + rng.uniform(-5, 35)
    return set_angles(
        ease,
        {
            "pitch": pitch,
            "spine_flex": spine,
            "head_flex": rng.uniform(-35, 10),
            **legs(thigh=8 * depth + 0.6 * knee, shin=8 * depth - 0.4 * knee, pitch=pitch),
            **_reaching(rng, reach=reach),
        },
    )


def _reaching(rng: np.random.Generator, *, reach: float) -> dict[str, float]:
    """One hand or both down to something; `reach` is the arm's flexion in degrees."""
    arms = {"arm_flex": reach, "arm_abd": rng.uniform(0, 12), "elbow": rng.uniform(2, 25)}
    chance = rng.random()
    if chance < 0.6:
        side = "left" if rng.random() < 0.5 else "right"
        arms |= {f"{side}_arm_flex": rng.uniform(10, 60), f"{side}_elbow": rng.uniform(15, 80)}
    return arms


def squatting(rng: np.random.Generator, ease: Array) -> Array:
    """Draw a squat, hands reaching between or beside the feet."""
    pitch = rng.uniform(15, 45)
    deep = rng.uniform(85, 118)
    reach = pitch + 25 + rng.uniform(0, 30)
    return set_angles(
        ease,
        {
            "pitch": pitch,
            "spine_flex": rng.uniform(10, 35),
            **legs(thigh=deep, shin=-rng.uniform(18, 38), foot=rng.uniform(0, 20), pitch=pitch),
            "hip_abd": rng.uniform(5, 20),
            **_reaching(rng, reach=reach),
        },
    )


def half_kneeling(rng: np.random.Generator, ease: Array, *, side: str) -> Array:
    """Draw a kneel on one knee; `side` is the leg in front."""
    other = "right" if side == "left" else "left"
    pitch = rng.uniform(0, 30)
    return set_angles(
        ease,
        {
            "pitch": pitch,
            "spine_flex": rng.uniform(10, 40),
            **leg(side, thigh=rng.uniform(75, 92), shin=rng.uniform(-12, 5), pitch=pitch),
            **leg(other, thigh=rng.uniform(-8, 8), shin=-rng.uniform(82, 92), foot=rng.uniform(60, 90), pitch=pitch),
            **_reaching(rng, reach=pitch + rng.uniform(20, 60)),
        },
    )


def kneeling(rng: np.random.Generator, ease: Array) -> Array:
    """Draw a kneel on both knees, trunk upright."""
    pitch = rng.uniform(-5, 20)
    back = rng.uniform(0, 35)
    return set_angles(
        ease,
        {"pitch": pitch, "spine_flex": rng.uniform(5, 25), "arm_flex": rng.uniform(0, 45), "elbow": rng.uniform(10, 60)}
        | legs(thigh=back, shin=back - 90 - rng.uniform(0, 5), foot=80, pitch=pitch),
    )


def all_fours(rng: np.random.Generator, ease: Array) -> Array:
    """Draw hands and knees on the floor."""
    pitch = rng.uniform(68, 84)
    return set_angles(
        ease,
        {"pitch": pitch, "spine_flex": rng.uniform(0, 12), "head_flex": rng.uniform(-40, 0)}
        | {"arm_flex": pitch + rng.uniform(0, 14), "arm_abd": 8, "elbow": rng.uniform(0, 20)}
        | legs(thigh=rng.uniform(-8, 18), shin=-90, foot=75, pitch=pitch),
    )


LYING = ("supine", "prone", "left side", "right side", "curled")


def lying(rng: np.random.Generator, ease: Array, kind: str) -> Array:
    """Draw a way to lie.

    Args:
        rng: source of the differences.
        ease: how this person stands; gives the heading.
        kind: one of `LYING`.
    """
    drawn_up = str(rng.choice(SIDES))
    bent = rng.uniform(0, 50) * (rng.random() < 0.6)
    one_knee = {f"{drawn_up}_hip_flex": bent, f"{drawn_up}_knee": 2 * bent, f"{drawn_up}_ankle": 10.0}
    plain = {"pitch": -88.0, "spine_flex": rng.uniform(0, 12), "spine_side": rng.uniform(-12, 12)}
    plain |= {"hip_abd": rng.uniform(2, 16), "knee": rng.uniform(2, 14), "ankle": rng.uniform(20, 40), "hip_rot": 20}
    plain |= {"hip_flex": rng.uniform(0, 8), "head_flex": rng.uniform(0, 25), "head_twist": rng.uniform(-40, 40)}
    for side in SIDES:
        plain |= {f"{side}_arm_flex": rng.uniform(-6, 12), f"{side}_arm_abd": rng.uniform(8, 70)}
        plain |= {f"{side}_elbow": rng.uniform(2, 35), f"{side}_arm_rot": rng.uniform(0, 80)}
        if rng.random() < 0.4:  # the hand on the belly
            plain |= {f"{side}_arm_abd": 22.0, f"{side}_elbow": rng.uniform(75, 95), f"{side}_arm_rot": 80.0}
    if kind == "supine":
        return set_angles(ease, plain | one_knee | {"spin": 0.0, "roll": 0.0})
    if kind == "prone":
        face = {"pitch": 88.0, "head_twist": rng.choice([-1.0, 1.0]) * rng.uniform(45, 75), "head_flex": -8.0}
        face |= {"spin": 0.0, "roll": 0.0, "arm_flex": rng.uniform(0, 30), "hip_flex": 0.0, "knee": rng.uniform(0, 12)}
        return set_angles(ease, plain | face | {"ankle": 55})
    turn = 80.0 if kind == "left side" or (kind == "curled" and rng.random() < 0.5) else -80.0
    tucked = rng.uniform(60, 100) if kind == "curled" else rng.uniform(5, 50)
    tight = 1.0 if kind == "curled" else 0.3
    side_lying = {
        "pitch": -88.0, "roll": 0.0, "spin": turn, "spine_flex": 45 * tight, "head_flex": 35 * tight,
        "left_hip_flex": tucked, "right_hip_flex": tucked * rng.uniform(0.6, 1.1), "knee": tucked + 15, "ankle": 20,
        "arm_flex": rng.uniform(25, 75), "elbow": rng.uniform(30, 110), "arm_abd": 4, "arm_rot": 30, "hip_abd": 2,
    }  # fmt: skip
    return set_angles(ease, side_lying)


HANDS: Mapping[str, Mapping[str, float]] = {
    "in front": {"arm_flex": 28, "arm_rot": 55, "elbow": 75, "arm_abd": 4},
    "folded": {"arm_flex": 38, "arm_rot": 78, "elbow": 100, "arm_abd": 6},
    "on hips": {"arm_flex": -8, "arm_abd": 42, "elbow": 100, "arm_rot": 65},
    "behind": {"arm_flex": -32, "elbow": 55, "arm_rot": 50, "arm_abd": 10},
    "drink": {"right_arm_flex": 52, "right_elbow": 128, "right_arm_rot": 35, "right_arm_abd": 10},
    "phone": {"left_arm_flex": 35, "left_elbow": 145, "left_arm_rot": -10, "left_arm_abd": 28},
    "reach out": {"right_arm_flex": 88, "right_elbow": 18},
    "reach up": {"right_arm_flex": 155, "right_elbow": 20},
    "both up": {"arm_flex": 165, "elbow": 10, "arm_abd": 10},
    "arms wide": {"arm_abd": 88, "elbow": 5, "arm_rot": 0},
    "wave": {"left_arm_abd": 75, "left_elbow": 105, "left_arm_rot": -85},
    "table": {"arm_flex": 48, "elbow": 58, "arm_rot": 25, "arm_abd": 8},
    "face": {"left_arm_flex": 55, "left_elbow": 135, "left_arm_rot": 45},
    "knees": {"arm_flex": 62, "elbow": 15, "arm_abd": 4},
}
"""What hands do, as changes of the arms in degrees; single-sided ones are mirrored half of the time."""

MIRROR = np.arange(N_ANGLES)
for _name, _index in A.items():
    if _name.startswith("left_"):
        MIRROR[_index] = A["right_" + _name.removeprefix("left_")]
    elif _name.startswith("right_"):
        MIRROR[_index] = A["left_" + _name.removeprefix("right_")]


def with_hands(rng: np.random.Generator, base: Array, name: str) -> Array:
    """Give a posture in which the hands do what `name` of `HANDS` says, left and right swapped half of the time."""
    change = {key: value + rng.uniform(-8, 8) for key, value in HANDS[name].items()}
    if rng.random() < 0.5:
        swap = {"left": "right", "right": "left"}
        change = {_swapped(key, swap): value for key, value in change.items()}
    return set_angles(base, change)


def _swapped(name: str, swap: Mapping[str, str]) -> str:
    side, _, rest = name.partition("_")
    return f"{swap[side]}_{rest}" if side in swap else name
