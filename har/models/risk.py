"""The risk model: how likely a window of one skeleton holds the beginning of danger.

StandardScaler -> PCA -> linear classifier with a calibrated probability, on the features of `har.models.risk_features`.
It is fitted with scikit-learn and served as fused arrays: one dot product per window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from har.errors import ShapeError
from har.models.risk_features import FEATURES, Array

RISK_TENSORS = ("mean", "scale", "pca_mean", "components", "coef", "intercept", "calibration")
"""Names of the arrays of a risk model, as they stand in a bundle's risk.safetensors."""


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """A fitted risk model as arrays.

    Attributes:
        mean: (F,) what StandardScaler subtracts.
        scale: (F,) what it divides by.
        pca_mean: (F,) what PCA subtracts.
        components: (K, F) principal axes.
        coef: (K,) weights of the linear classifier.
        intercept: () its offset.
        calibration: (2,) slope and offset of the sigmoid that turns its margin into a probability (Platt 1999).
        threshold: probability from which danger is suspected.
    """

    mean: Array
    scale: Array
    pca_mean: Array
    components: Array
    coef: Array
    intercept: Array
    calibration: Array
    threshold: float = 0.5

    def __post_init__(self) -> None:
        n_features, n_components = self.mean.shape[0], self.components.shape[0]
        wanted = {
            "mean": (n_features,), "scale": (n_features,), "pca_mean": (n_features,),
            "components": (n_components, n_features), "coef": (n_components,), "intercept": (), "calibration": (2,),
        }  # fmt: skip
        for name, shape in wanted.items():
            found = getattr(self, name).shape
            if found != shape:
                raise ShapeError(f"risk model: {name} must be {shape}, got {found}.")

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], *, threshold: float = 0.5) -> RiskModel:
        """Make a model of the arrays of a bundle.

        Args:
            arrays: one array for each name in `RISK_TENSORS`.
            threshold: probability from which danger is suspected.
        """
        return cls(**{name: np.asarray(arrays[name], dtype=np.float64) for name in RISK_TENSORS}, threshold=threshold)

    def to_arrays(self) -> dict[str, Array]:
        """Give the arrays for a bundle, C-contiguous."""
        return {name: np.ascontiguousarray(getattr(self, name)).reshape(getattr(self, name).shape)
                for name in RISK_TENSORS}  # fmt: skip

    @property
    def weights(self) -> Array:
        """(F,) the margin's weight for each standardised feature: PCA and classifier in one."""
        return self.coef @ self.components

    def probability(self, features: Array) -> Array:
        """Give the probability of danger of each window.

        Args:
            features: (N, F) float64.

        Returns:
            (N,) in [0, 1].
        """
        standard = (features - self.mean) / self.scale
        margin = (standard - self.pca_mean) @ self.weights + self.intercept
        slope, offset = self.calibration
        return _sigmoid(slope * margin + offset)

    def strongest(self, features: Array, *, n: int = 3) -> tuple[str, ...]:
        """Name the features that speak most for danger in one window.

        Args:
            features: (F,) float64.
            n: how many at most.
        """
        pull = (features - self.mean) / self.scale * self.weights * self.calibration[0]
        best = np.argsort(-pull)[:n]
        return tuple(FEATURES[i] for i in best if pull[i] > 0)


def fit_risk_model(
    features: Array,
    danger: npt.NDArray[np.bool_],
    subject: npt.NDArray[np.int_],
    *,
    n_components: int,
    c: float = 0.3,
    weight: Array | None = None,
) -> tuple[RiskModel, Array]:
    """Fit scaler, PCA and a linear classifier, and calibrate its margin on people it did not see.

    Args:
        features: (N, F) float64.
        danger: (N,) True where the window holds the beginning of danger.
        subject: (N,) whose window it is; calibration never splits a subject.
        n_components: principal components kept.
        c: inverse strength of the classifier's L2 penalty.
        weight: (N,) weight of each window; None for one each.

    Returns:
        The model, fitted on everybody, and (N,) the probability of each window by a model that saw nothing of its
        subject; NaN where no such model could be fitted.

    Raises:
        ShapeError: there are not both kinds of windows of at least two subjects.
    """
    weight = np.ones(len(features)) if weight is None else weight
    margin = _unseen_margins(features, danger, subject, n_components=n_components, c=c, weight=weight)
    slope, offset = _platt(margin, danger, weight)
    final = _fit_pipeline(features, danger, n_components=n_components, c=c, weight=weight)
    scaler, pca, linear = (final.named_steps[name] for name in ("scaler", "pca", "linear"))
    model = RiskModel(
        mean=scaler.mean_,
        scale=scaler.scale_,
        pca_mean=pca.mean_,
        components=np.ascontiguousarray(pca.components_),
        coef=linear.coef_[0],
        intercept=np.asarray(linear.intercept_[0]),
        calibration=np.array([slope, offset]),
    )
    return model, _sigmoid(slope * margin + offset)


def _unseen_margins(
    features: Array,
    danger: npt.NDArray[np.bool_],
    subject: npt.NDArray[np.int_],
    *,
    n_components: int,
    c: float,
    weight: Array,
) -> Array:
    """Margins of each subject's windows by a classifier fitted on the others (up to ten folds)."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_in_danger = len(np.unique(subject[danger]))
    if n_in_danger < 2 or len(np.unique(subject[~danger])) < 2:
        raise ShapeError("a risk model needs windows with and without danger of at least two subjects each.")
    margin = np.full(len(features), np.nan)
    for train, test in StratifiedGroupKFold(min(10, n_in_danger)).split(features, danger, subject):
        if danger[train].any() and not danger[train].all():
            fitted = _fit_pipeline(features[train], danger[train], n_components=n_components, c=c, weight=weight[train])
            margin[test] = fitted.decision_function(features[test])
    return margin


def _fit_pipeline(features: Array, danger: npt.NDArray[np.bool_], *, n_components: int, c: float, weight: Array) -> Any:
    """Fit the scikit-learn pipeline that the arrays of a `RiskModel` stand for."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = Pipeline(
        [
            ("scaler", StandardScaler()),
            ("pca", PCA(min(n_components, features.shape[1], len(features) - 1), random_state=0)),
            ("linear", LogisticRegression(C=c, class_weight="balanced", max_iter=2000)),
        ]
    )
    return pipeline.fit(features, danger, scaler__sample_weight=weight, linear__sample_weight=weight)


def _platt(margin: Array, danger: npt.NDArray[np.bool_], weight: Array) -> tuple[float, float]:
    """Slope and offset of the sigmoid that turns margins into probabilities (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(margin)
    fitted = LogisticRegression(C=1e4).fit(margin[known, None], danger[known], sample_weight=weight[known])
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _sigmoid(margin: Array) -> Array:
    probability: Array = 1.0 / (1.0 + np.exp(-np.clip(margin, -60.0, 60.0)))
    return probability
