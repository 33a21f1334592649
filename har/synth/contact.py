"""Limbs that meet the floor lie on it."""

from __future__ import annotations

import numpy as np

from har.synth.body import Array, Body, P
from har.synth.postures import SIDES

_BONES = tuple(  # (parent, all points that move when the bone is turned, the bone's own end first)
    (P[f"{side}_{parent}"], tuple(P[f"{side}_{name}"] for name in _beyond))
    for side in SIDES
    for parent, _beyond in (
        ("shoulder", ("elbow", "wrist", "hand")),
        ("elbow", ("wrist", "hand")),
        ("wrist", ("hand",)),
        ("hip", ("knee", "ankle", "heel", "toe")),
        ("knee", ("ankle", "heel", "toe")),
        ("ankle", ("heel",)),
        ("ankle", ("toe",)),
    )
)


def keep_limbs_above(points: Array, body: Body) -> None:
    """Turn bones that reach into the floor until they lie on it, keeping their length; changes `points`."""
    for parent, chain in _BONES:
        joint = chain[0]
        bone = points[:, joint] - points[:, parent]
        lowest = body.radius_m[joint] - points[:, parent, 2]
        deep = bone[:, 2] < lowest - 1e-9
        if not deep.any():
            continue
        length = np.linalg.norm(bone[deep], axis=1)
        raised = np.clip(lowest[deep], -length, length)
        flat = np.hypot(bone[deep, 0], bone[deep, 1])
        stretch = np.sqrt(np.maximum(length**2 - raised**2, 0)) / np.maximum(flat, 1e-6)
        change = np.column_stack([bone[deep, :2] * (stretch - 1)[:, None], raised - bone[deep, 2]])
        points[np.ix_(np.flatnonzero(deep), np.array(chain))] += change[:, None]
