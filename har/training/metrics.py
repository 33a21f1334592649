"""How good answers are: accuracy, F1, confusion and calibration, as plain numbers for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

N_CALIBRATION_BINS = 15


def score_metrics(
    scores: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], *, names: Sequence[str]
) -> dict[str, Any]:
    """Compare probabilities with the truth.

    Args:
        scores: (N, K) probabilities.
        labels: (N,) true labels.
        names: the K labels.

    Returns:
        n, top1, top5, macro_f1 (over the labels that occur), per_class ({label: precision, recall, f1, n}),
        confusion ({labels, matrix}: a row a true label, a column an answer) and ece (15 bins); all fractions in 0..1,
        None where nothing was judged.
    """
    n_classes = len(names)
    best = scores.argmax(axis=1) if len(labels) else labels
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (labels, best), 1)
    per_class = {name: _one_class(matrix, index) for index, name in enumerate(names)}
    occurring = [row["f1"] for row in per_class.values() if row["n"]]
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    return {
        "n": len(labels),
        "top1": float(np.mean(best == labels)) if len(labels) else None,
        "top5": float(np.mean((ranked == labels[:, None]).any(axis=1))) if len(labels) else None,
        "macro_f1": float(np.mean(occurring)) if occurring else None,
        "per_class": per_class,
        "confusion": {"labels": list(names), "matrix": matrix.tolist()},
        "ece": calibration_error(scores, labels) if len(labels) else None,
    }


def _one_class(matrix: npt.NDArray[np.int64], index: int) -> dict[str, Any]:
    hits, n, n_answers = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    return {
        "precision": hits / n_answers if n_answers else None,
        "recall": hits / n if n else None,
        "f1": 2 * hits / (n + n_answers) if n + n_answers else None,
        "n": n,
    }


def calibration_error(scores: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> float:
    """Give the expected calibration error: how far confidence lies from accuracy, over bins of confidence."""
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == labels
    bins = np.minimum((confidence * N_CALIBRATION_BINS).astype(np.int64), N_CALIBRATION_BINS - 1)
    gaps = [
        abs(float(confidence[bins == each].mean()) - float(right[bins == each].mean())) * float((bins == each).mean())
        for each in np.unique(bins)
    ]
    return float(sum(gaps))
