"""How good answers are: accuracy, F1, confusion, calibration and refusal, as plain numbers for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from har.models.unknown import UnknownRule

N_CALIBRATION_BINS = 15
KEEP_SHARE = 0.95
"""Of the right answers that an "unknown" threshold keeps, where nothing else is said."""
LEAST_TO_CHOOSE = 50
"""Right answers below which no threshold is chosen: the 5 % below it would be one or two answers."""
N_COVERAGE_POINTS = 100
_Z_95 = 1.959964

Scores = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]


def score_metrics(scores: Scores, labels: IntArray, *, names: Sequence[str]) -> dict[str, Any]:
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


def _one_class(matrix: IntArray, index: int) -> dict[str, Any]:
    hits, n, n_answers = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    return {
        "precision": hits / n_answers if n_answers else None,
        "recall": hits / n if n else None,
        "f1": 2 * hits / (n + n_answers) if n + n_answers else None,
        "n": n,
    }


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Give the 95 % interval of a share seen in n independent trials (Wilson 1927); (0, 1) for none.

    Unlike the textbook's share +- 2 standard errors it stays within 0..1 and does not shrink to a point at 0 or 1.
    """
    if n == 0:
        return 0.0, 1.0
    z2 = _Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_curve(scores: Scores, labels: IntArray) -> list[dict[str, float]]:
    """Give, for each of 15 bins of confidence that holds any answer: mean confidence, accuracy and n."""
    confidence, right = _confidence(scores, labels)
    bins = np.minimum((confidence * N_CALIBRATION_BINS).astype(np.int64), N_CALIBRATION_BINS - 1)
    return [
        {
            "confidence": float(confidence[bins == each].mean()),
            "accuracy": float(right[bins == each].mean()),
            "n": int((bins == each).sum()),
        }
        for each in np.unique(bins)
    ]


def calibration_error(scores: Scores, labels: IntArray) -> float:
    """Give the expected calibration error: how far confidence lies from accuracy, over bins of confidence."""
    return float(
        sum(
            abs(row["confidence"] - row["accuracy"]) * row["n"] / len(labels)
            for row in calibration_curve(scores, labels)
        )
    )


def _confidence(scores: Scores, labels: IntArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Give the probability of each best label, (N,), and whether it is right."""
    confidence: npt.NDArray[np.float64] = scores.max(axis=1).astype(np.float64)
    right: npt.NDArray[np.bool_] = scores.argmax(axis=1) == labels
    return confidence, right


def risk_coverage(scores: Scores, labels: IntArray) -> list[dict[str, float]]:
    """Say how often answers are right if only the surest are given.

    Returns:
        About a hundred rows from few answers to all: coverage (share answered), accuracy (of those) and threshold (the
        lowest confidence among them).
    """
    confidence, right = _confidence(scores, labels)
    order = np.argsort(-confidence, kind="stable")
    n_right = np.cumsum(right[order])
    counts = np.unique(np.linspace(1, len(labels), min(len(labels), N_COVERAGE_POINTS)).round().astype(np.int64))
    return [
        {
            "coverage": float(count / len(labels)),
            "accuracy": float(n_right[count - 1] / count),
            "threshold": float(confidence[order[count - 1]]),
        }
        for count in counts.tolist()
    ]


def choose_unknown(scores: Scores, labels: IntArray, *, keeps: float = KEEP_SHARE) -> UnknownRule | None:
    """Choose the threshold below which "unknown" is answered: the highest that keeps this share of right answers.

    Args:
        scores: (N, K) probabilities on clips held out of training, as the served network gives them.
        labels: (N,) true labels.
        keeps: share of the right answers to keep, in (0, 1].

    Returns:
        The rule, or None where too few answers are right to choose by.
    """
    confidence, right = _confidence(scores, labels) if len(labels) else (np.zeros(0), np.zeros(0, dtype=np.bool_))
    sure = np.sort(confidence[right])
    if len(sure) < LEAST_TO_CHOOSE:
        return None
    threshold = float(sure[math.floor((1 - keeps) * len(sure) + 1e-9)])
    threshold = min(math.floor(threshold * 1e4) / 1e4, 0.9999)  # rounded down: what was kept stays kept
    return UnknownRule(threshold=threshold, keeps=keeps, n=len(sure)) if threshold > 0 else None


def refusal(scores: Scores, labels: IntArray, *, threshold: float) -> dict[str, Any]:
    """Say what answering "unknown" below a threshold does to answers whose truth is known.

    Returns:
        threshold; named (share of all that get a label), named_right (share of the named that are right), right_kept
        (share of the right answers that are named) and wrong_refused (share of the wrong ones that are not); None
        where there is nothing to count.
    """
    confidence, right = _confidence(scores, labels)
    named = confidence >= threshold
    return {
        "threshold": threshold,
        "n": len(labels),
        "named": _share(named),
        "named_right": _share(right[named]),
        "right_kept": _share(named[right]),
        "wrong_refused": _share(~named[~right]),
    }


def _share(flags: npt.NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def separation(known: Scores, strange: Scores) -> float | None:
    """Give how well confidence tells known actions from strange ones: the area under the ROC curve, 0.5 for not at all.

    Args:
        known: (N, K) probabilities of windows whose label the network knows.
        strange: (S, K) of windows whose label it does not.
    """
    if not len(known) or not len(strange):
        return None
    ours, theirs = np.sort(known.max(axis=1)), strange.max(axis=1)
    below = np.searchsorted(ours, theirs, side="left")
    up_to = np.searchsorted(ours, theirs, side="right")
    return float(1 - (below + up_to).mean() / (2 * len(ours)))
