"""How many principal components the risk model keeps: chosen on people it did not see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from har.models.risk import split_by_subject
from har.models.risk_features import Array

CANDIDATES = (4, 8, 12, 16, 24, 32)
MAX_FOLDS = 5
MAX_ROWS = 15_000
"""Windows looked at; of more, every n-th that holds no danger. Neighbouring windows say nearly the same."""
NEARLY_AS_GOOD = 1.01


@dataclass(frozen=True, slots=True)
class ComponentTrial:
    """What one number of components was worth.

    Attributes:
        n_components: how many.
        explained_variance: share of the features' variance that they hold.
        log_loss: of unseen people's windows, each source of clips counting alike, in nats; 0.69 is a coin's.
    """

    n_components: int
    explained_variance: float
    log_loss: float


def choose_components(
    features: Array,
    danger: npt.NDArray[np.bool_],
    subject: npt.NDArray[np.int_],
    weight: Array,
    *,
    c: float,
) -> tuple[int, tuple[ComponentTrial, ...]]:
    """Choose the fewest components whose log loss on unseen people is within 1 % of the best.

    Args:
        features: (N, F) float64.
        danger: (N,) the truth.
        subject: (N,) whose window it is; never on both sides.
        weight: (N,) weight of each window.
        c: inverse strength of the classifier's L2 penalty.

    Returns:
        The number, and what each candidate was worth.
    """
    rows = _thinned(danger)
    in_danger, others = (each.sum() / max(each[rows].sum(), 1) for each in (danger, ~danger))
    step = np.where(danger[rows], in_danger, others)
    features, danger, subject, weight = features[rows], danger[rows], subject[rows], weight[rows] * step
    most = min(features.shape[1], len(features) - 1)
    numbers = sorted({min(number, most) for number in CANDIDATES})
    margins = {number: np.full(len(features), np.nan) for number in numbers}
    explained = np.zeros(most)
    folds = split_by_subject(danger, subject, at_most=MAX_FOLDS)
    for train, test in folds:
        ratio = _fit_fold(features, danger, weight, train, test, margins, c=c)
        explained[: len(ratio)] += np.cumsum(ratio) / len(folds)
    trials = tuple(
        ComponentTrial(number, float(explained[number - 1]), _log_loss(margins[number], danger, weight))
        for number in numbers
    )
    best = min(trial.log_loss for trial in trials)
    return next(t.n_components for t in trials if t.log_loss <= NEARLY_AS_GOOD * best), trials


def _thinned(danger: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Rows to look at, in order: with danger, half of `MAX_ROWS` at most, and others until they are so many."""
    kept = _every_nth(np.flatnonzero(danger), at_most=MAX_ROWS // 2)
    return np.sort(np.concatenate([kept, _every_nth(np.flatnonzero(~danger), at_most=MAX_ROWS - len(kept))]))


def _every_nth(rows: npt.NDArray[np.intp], *, at_most: int) -> npt.NDArray[np.intp]:
    return rows[:: max(math.ceil(len(rows) / at_most), 1)]


def _fit_fold(
    features: Array,
    danger: npt.NDArray[np.bool_],
    weight: Array,
    train: npt.NDArray[np.intp],
    test: npt.NDArray[np.intp],
    margins: dict[int, Array],
    *,
    c: float,
) -> Array:
    """Fit once, with the first components of one PCA for each candidate; give the components' shares of variance."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features[train], sample_weight=weight[train])
    pca = PCA(min(max(margins), len(train) - 1), random_state=0)
    kept, unseen = pca.fit_transform(scaler.transform(features[train])), pca.transform(scaler.transform(features[test]))
    for number, margin in margins.items():
        linear = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        linear.fit(kept[:, :number], danger[train], sample_weight=weight[train])
        margin[test] = linear.decision_function(unseen[:, :number])
    ratio: Array = pca.explained_variance_ratio_
    return ratio


def _log_loss(margin: Array, danger: npt.NDArray[np.bool_], weight: Array) -> float:
    """Log loss after calibration by a sigmoid, weighted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    known = np.isfinite(margin)
    sigmoid = LogisticRegression(C=1e4).fit(margin[known, None], danger[known], sample_weight=weight[known])
    probability = sigmoid.predict_proba(margin[known, None])[:, 1]
    return float(log_loss(danger[known], probability, sample_weight=weight[known], labels=[False, True]))
