"""The same clips as a worse camera would have given them: fewer frames, lost joints, another angle."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from har.clips import Clip
from har.records import FloatArray

SPELL_S = 1.0
"""How long a joint stays lost: too long to be filled in from what is seen before and after."""
RATE_TOLERANCE = 1.05


def at_rate(clip: Clip, *, rate_hz: float) -> Clip:
    """Give a clip at another frame rate: frames left out at their own times, or drawn in between where it has fewer.

    Args:
        clip: any clip.
        rate_hz: frames per second wanted.
    """
    if len(clip.time_s) < 2:
        return clip
    due_s = clip.time_s[0] + np.arange(int(clip.duration_s * rate_hz + 1e-6) + 1) / rate_hz
    own_hz = (len(clip.time_s) - 1) / clip.duration_s
    if own_hz * RATE_TOLERANCE < rate_hz:
        return replace(clip, joints=_between(clip, due_s), time_s=due_s, rate_hz=rate_hz)
    after = np.searchsorted(clip.time_s, due_s).clip(1, len(clip.time_s) - 1)
    nearer = np.where(due_s - clip.time_s[after - 1] <= clip.time_s[after] - due_s, after - 1, after)
    kept = np.unique(nearer)
    return replace(clip, joints=clip.joints[kept], time_s=clip.time_s[kept], rate_hz=min(rate_hz, own_hz))


def _between(clip: Clip, due_s: npt.NDArray[np.float64]) -> FloatArray:
    after = np.searchsorted(clip.time_s, due_s).clip(1, len(clip.time_s) - 1)
    before_s, after_s = clip.time_s[after - 1], clip.time_s[after]
    share = np.clip((due_s - before_s) / (after_s - before_s), 0, 1).astype(np.float32)[:, None, None, None]
    left, right = clip.joints[after - 1], clip.joints[after]
    joints: FloatArray = np.where(share == 0, left, np.where(share == 1, right, left + (right - left) * share))
    return joints


def with_lost_joints(clip: Clip, *, share: float, seed: int) -> Clip:
    """Give a clip in which each joint is lost for spells of a second, this share of the time in all.

    The share need not come out exactly in one clip, only over many.

    Args:
        clip: any clip.
        share: of the time that a joint is lost, 0..1.
        seed: which ones; the same clip and seed give the same.
    """
    rng = np.random.default_rng([seed, zlib.crc32(clip.id.encode())])
    n_people, n_joints = clip.joints.shape[1:3]
    n_spells = int(clip.duration_s / SPELL_S) + 2
    is_lost = rng.random((n_spells, n_people, n_joints)) < share
    spell = (clip.time_s[:, None, None] - clip.time_s[0]) / SPELL_S + rng.random((n_people, n_joints))  # (T, M, V)
    lost = np.take_along_axis(is_lost, spell.astype(np.intp), axis=0)  # (T, M, V)
    return replace(clip, joints=np.where(lost[..., None], np.float32(np.nan), clip.joints))


def turned(clip: Clip, *, angle_deg: float) -> Clip:
    """Give a 3D clip as a camera sees it that stands elsewhere on a circle round the person.

    Args:
        clip: a clip with depth.
        angle_deg: how far the person is turned about the vertical axis.
    """
    across, depth = (0, 1) if clip.up == "+z" else (0, 2)
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    joints = clip.joints.copy()
    joints[..., across] = cos * clip.joints[..., across] + sin * clip.joints[..., depth]
    joints[..., depth] = -sin * clip.joints[..., across] + cos * clip.joints[..., depth]
    return replace(clip, joints=joints)
