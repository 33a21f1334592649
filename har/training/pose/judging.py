"""Figures on what was held out, quick enough to reckon after every pass; `har pose evaluate` has those to report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from har.pose.coco import Person
from har.pose.metrics import share_within, torso_errors
from har.records import FloatArray, Pose

HIDDEN, SEEN = 1, 2  # COCO's visibility
ENOUGH_PEOPLE = 100
"""To say from which score on a box is best taken for somebody."""


def pdj(people: Sequence[Person], poses: Sequence[Pose], *, at: float = 0.2) -> dict[str, float]:
    """Give the share of joints found within a share of the torso's diameter (Toshev and Szegedy 2014).

    Returns:
        "pdj" of all annotated joints and "pdj_seen" of those that are seen; what nobody has is left out.
    """
    errors = np.array([torso_errors(person, pose) for person, pose in zip(people, poses, strict=True)])  # (N, V)
    is_seen = np.array([person.visibility for person in people]) == SEEN  # (N, V)
    shares = {"pdj": share_within(errors, at), "pdj_seen": share_within(errors[is_seen], at)}
    return {name: share for name, share in shares.items() if share is not None}


def judge_boxes(found: list[FloatArray], true: list[FloatArray], *, iou: float = 0.5) -> dict[str, float]:
    """Give how well boxes are found at one overlap.

    Args:
        found: for each picture (P, 5): x, y, width, height, score.
        true: for each picture (Q, 4).
        iou: overlap from which a box is a hit.

    Returns:
        "ap50", the average precision; of enough people also "sure", the score from which boxes are best taken for
        people (highest F2: somebody missed counts more than furniture), and "recall" and "precision" of those.
    """
    score, is_hit = _rank(found, true, iou=iou)
    n_true = sum(map(len, true))
    if not n_true or not len(score):
        return {"ap50": 0.0}
    recall = np.cumsum(is_hit) / n_true
    precision = np.cumsum(is_hit) / np.arange(1, len(is_hit) + 1)
    best_after = np.maximum.accumulate(precision[::-1])[::-1]
    figures = {"ap50": float(np.sum(np.diff(recall, prepend=0.0) * best_after))}
    if n_true < ENOUGH_PEOPLE:
        return figures
    best = int(np.argmax(5 * recall * precision / np.maximum(recall + 4 * precision, 1e-9)))
    return figures | {"sure": float(score[best]), "recall": float(recall[best]), "precision": float(precision[best])}


def _rank(found: list[FloatArray], true: list[FloatArray], *, iou: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores of all boxes, the surest first, and whether each is a hit."""
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
    order = np.argsort(-np.array(scores), kind="stable")
    return np.array(scores)[order], np.array(hits, dtype=bool)[order]


def box_overlaps(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Give intersection over union of boxes (P, 4) and (Q, 4), each x, y, width, height: (P, Q)."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, :2] + ours[:, None, 2:], theirs[None, :, :2] + theirs[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)  # (P, Q)
    whole = ours[:, None, 2:].prod(axis=-1) + theirs[None, :, 2:].prod(axis=-1) - shared
    overlaps: FloatArray = (shared / np.maximum(whole, 1e-9)).astype(np.float32)
    return overlaps
