"""Figures on what was held out, quick enough to reckon after every pass; `har pose evaluate` has those to report."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphs.layouts import COCO17
from har.records import FloatArray

_SHOULDER, _HIP = COCO17.joints.index("left_shoulder"), COCO17.joints.index("right_hip")


def pdj(found: FloatArray, true: FloatArray, counted: npt.NDArray[np.bool_], *, at: float = 0.2) -> float:
    """Give the share of joints that were found within a share of the trunk's diameter (Toshev and Szegedy 2014).

    Args:
        found: (N, V, 2).
        true: (N, V, 2), in the same unit.
        counted: (N, V): joints to count; people of whom the left shoulder or the right hip is none of them are left
            out.
        at: of the distance between these two.

    Returns:
        NaN where nobody counts.
    """
    whole = counted[:, _SHOULDER] & counted[:, _HIP]  # (N,)
    trunk = np.linalg.norm(true[:, _SHOULDER] - true[:, _HIP], axis=-1)  # (N,)
    is_near = np.linalg.norm(found - true, axis=-1) <= at * trunk[:, None]  # (N, V)
    hits = is_near[counted & whole[:, None]]
    return float(hits.mean()) if len(hits) else float("nan")


def box_ap(found: list[FloatArray], true: list[FloatArray], *, iou: float = 0.5) -> float:
    """Give the average precision of boxes at one overlap.

    Args:
        found: for each picture (P, 5): x, y, width, height, score.
        true: for each picture (Q, 4).
        iou: overlap from which a box is a hit.
    """
    scores, hits = [], []
    for boxes, wanted in zip(found, true, strict=True):
        left = np.ones(len(wanted), dtype=bool)
        overlaps = box_overlaps(boxes[:, :4], wanted)  # (P, Q)
        for number in np.argsort(-boxes[:, 4], kind="stable"):
            best = int(np.argmax(np.where(left, overlaps[number], -1))) if len(wanted) else -1
            is_hit = best >= 0 and left[best] and overlaps[number, best] >= iou
            if is_hit:
                left[best] = False
            scores.append(float(boxes[number, 4]))
            hits.append(bool(is_hit))
    n_true = sum(map(len, true))
    if not n_true or not scores:
        return 0.0
    is_hit = np.array(hits)[np.argsort(-np.array(scores), kind="stable")]
    recall = np.cumsum(is_hit) / n_true
    precision = np.cumsum(is_hit) / np.arange(1, len(is_hit) + 1)
    best_after = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best_after))


def box_overlaps(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Give intersection over union of boxes (P, 4) and (Q, 4), each x, y, width, height: (P, Q)."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, :2] + ours[:, None, 2:], theirs[None, :, :2] + theirs[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)  # (P, Q)
    whole = ours[:, None, 2:].prod(axis=-1) + theirs[None, :, 2:].prod(axis=-1) - shared
    overlaps: FloatArray = (shared / np.maximum(whole, 1e-9)).astype(np.float32)
    return overlaps
