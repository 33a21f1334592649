"""A body that moves a little, and how an import is run in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphs import layout
from har.clips import Clip, read_clips
from har.training.importers import ImportOptions, Ledger, import_set

Array = np.ndarray[Any, Any]


def moving_body(name: str, *, n_frames: int = 6, n_people: int = 1, n_coordinates: int = 3, seed: int = 0) -> Array:
    """Give joints (T, M, V, C) in metres about 1, none of them zero; heads above feet along +y."""
    which = layout(name)
    rng = np.random.default_rng(seed)
    rest = rng.uniform(0.2, 0.6, (1, n_people, which.n_joints, n_coordinates))
    joints = rest + np.cumsum(rng.uniform(0.001, 0.01, (n_frames, n_people, which.n_joints, n_coordinates)), axis=0)
    for index, joint in enumerate(which.joints):
        joints[..., index, 1] += 1.0 if "head" in joint or "nose" in joint else -0.1 if "foot" in joint else 0.3
    joints[..., 0] += np.arange(n_people)[:, None] * 2.0
    return joints.astype(np.float32)


def in_pixels(joints: Array) -> Array:
    """Give x, y and a score (T, M, V, 3) in a picture of 640 x 480 of joints in metres."""
    xy = joints[..., :2] * np.float32([100, -100]) + np.float32([50, 300])
    score = np.full((*xy.shape[:-1], 1), 0.75, dtype=np.float32)
    return np.concatenate([xy, score], axis=-1).astype(np.float32)


def imported(
    kind: str, path: Path, out: Path, *, ledger: Ledger | None = None, **options: Any
) -> tuple[list[Clip], Ledger]:
    """Import a set and read what was written."""
    ledger = ledger or Ledger()
    import_set(kind, path, out=out, options=ImportOptions(**options), ledger=ledger)
    return read_clips(out), ledger
