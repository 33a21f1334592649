"""How alike two poses are: object keypoint similarity, for whoever asks whether two poses are of one person."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from har.records import SEEN_SCORE, FloatArray, Pose

OKS_FALLOFF: FloatArray = 2.0 * np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
     0.089],
    dtype=np.float32,
)  # fmt: skip
"""(17,) how far each joint may be off before it counts little, over the root of the body's area (COCO's 2 sigma;
cocodataset.org, keypoint evaluation)."""

_FARTHEST_PX = 1e5


def oks(a: Pose, b: Pose) -> float:
    """Object keypoint similarity of two COCO-17 poses, in [0, 1].

    The area is that of the two poses' boxes together (COCO keypoint evaluation takes the annotated segment's).
    """
    seen = seen_joints(a) & seen_joints(b)
    if not seen.any():
        return 0.0
    both: FloatArray = np.concatenate([a.xy[seen], b.xy[seen]])
    area = float(np.prod(np.maximum(both.max(axis=0) - both.min(axis=0), 1.0)))
    squared = ((a.xy[seen] - b.xy[seen]) ** 2).sum(axis=1)
    return float(np.exp(-squared / (2 * area * OKS_FALLOFF[seen] ** 2)).mean())


@lru_cache(maxsize=64)
def seen_joints(pose: Pose) -> npt.NDArray[np.bool_]:
    """Say which joints (V,) count as seen: scored, and at a place that any picture could have.

    Asked again and again of the poses of the last two frames, so these are kept (poses never change).
    """
    with np.errstate(invalid="ignore"):
        return (pose.score >= SEEN_SCORE) & (np.abs(pose.xy) < _FARTHEST_PX).all(axis=1)
