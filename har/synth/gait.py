"""How legs and arms move in walking."""

from __future__ import annotations

import numpy as np

from har.synth.body import A, Array, Body
from har.synth.motion import RATE_HZ, Style
from har.synth.postures import set_angles


def walk_angles(base: Array, *, body: Body, style: Style, speed_m_s: Array, phase_rad: float) -> Array:
    """Give the joint angles of somebody who walks: hips as a cosine, the knees bend in the swing and at loading.

    The length of a step grows with the speed, the amplitudes follow from it; where the speed fades so do they.

    Args:
        base: (A,) posture between steps; gives the heading.
        body: whose legs.
        style: of walking.
        speed_m_s: (T,) over ground, at `RATE_HZ`.
        phase_rad: of the first frame; 0 is the left foot in front.

    Returns:
        (T, A) radians.
    """
    leg_m = body.lengths_m["thigh"] + body.lengths_m["shin"]
    top_m_s = max(float(speed_m_s.max()), 0.2)
    step_m = (0.24 + 0.32 * top_m_s) * body.stature_m / 1.75
    phase = phase_rad + np.cumsum(np.pi * speed_m_s / step_m) / RATE_HZ
    lift = np.clip(speed_m_s / (0.6 * top_m_s), 0, 1)
    swing_rad = np.arcsin(min(0.6, 0.5 * step_m / leg_m)) * lift
    arm_rad = np.deg2rad(style.arm_swing_deg) * lift
    angles = np.repeat(base[None], len(speed_m_s), axis=0)
    for side, offset in (("left", 0.0), ("right", np.pi)):
        _step(angles, side=side, phase=phase + offset, swing_rad=swing_rad, arm_rad=arm_rad, lift=lift)
    angles[:, A["roll"]] += np.deg2rad(1.5) * np.sin(phase) * lift
    angles[:, A["pitch"]] += np.deg2rad(2 + 2 * top_m_s) * lift
    angles[:, A["spine_twist"]] += np.deg2rad(4) * np.cos(phase) * lift
    if style.walker:
        hold = set_angles(base, {"arm_flex": 38 + style.stoop_deg, "elbow": 35, "arm_abd": 6})
        angles += (hold - base)[None] * lift[:, None]
    return angles


def _step(angles: Array, *, side: str, phase: Array, swing_rad: Array, arm_rad: Array, lift: Array) -> None:
    """Add one side's movement; changes `angles`. The foot meets the ground at phase 0 and leaves it near pi."""
    cycle = np.mod(phase, 2 * np.pi)
    hip = swing_rad * (np.cos(cycle) + 0.25)
    swing_knee = np.exp(-((cycle - 4.7) ** 2) / 0.6) * (0.35 + 1.6 * swing_rad)
    load_knee = 0.16 * np.exp(-((cycle - 0.8) ** 2) / 0.35)
    knee = (swing_knee + load_knee) * lift
    sole = (0.35 * np.exp(-((cycle - 3.9) ** 2) / 0.3) - 0.15 * np.exp(-(cycle**2) / 0.15)) * lift
    arm = arm_rad * np.cos(cycle)
    angles[:, A[f"{side}_hip_flex"]] += hip
    angles[:, A[f"{side}_knee"]] += knee
    angles[:, A[f"{side}_ankle"]] += hip - knee + sole
    angles[:, A[f"{side}_arm_flex"]] -= arm
    angles[:, A[f"{side}_elbow"]] += 0.5 * np.abs(arm)
