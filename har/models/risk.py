"""The risk model: how likely a window of one skeleton holds the beginning of danger.

StandardScaler -> PCA -> linear classifier with a calibrated probability, on the features of `har.models.risk_features`.
It is fitted with scikit-learn and served as fused arrays: one dot product per window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from har.errors import ShapeError
from har.models.confirm import CONFIRM_PREFIX, CONFIRM_TENSORS, ConfirmModel, calibrated
from har.models.confirm_features import CONFIRM_FEATURES
from har.models.risk_features import FEATURES, Array, pick_columns

RISK_TENSORS = ("mean", "scale", "pca_mean", "components", "coef", "intercept", "calibration")
"""Names of the arrays of a risk model, as they stand in a bundle's risk.safetensors."""

Model = TypeVar("Model")

NO_RISK_PART = (
    "no risk part: the clips it learnt from do not tell where people fall. Only the floor timer raises alerts"
)
"""What is said of a bundle without one, after "has"."""


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
        features: (F,) names of what the columns hold.
        confirm: the model that confirms a suspicion; None for a bundle without one, where staying down is enough.
    """

    mean: Array
    scale: Array
    pca_mean: Array
    components: Array
    coef: Array
    intercept: Array
    calibration: Array
    threshold: float = 0.5
    features: tuple[str, ...] = FEATURES
    confirm: ConfirmModel | None = None

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
    def from_arrays(
        cls,
        arrays: Mapping[str, Array],
        *,
        threshold: float = 0.5,
        confirm_threshold: float = 0.5,
        features: Sequence[str] = FEATURES,
        confirm_features: Sequence[str] = CONFIRM_FEATURES,
    ) -> RiskModel:
        """Make a model of the arrays of a bundle.

        Args:
            arrays: one array for each name in `RISK_TENSORS`, and for each in `CONFIRM_TENSORS` with `CONFIRM_PREFIX`
                before it if suspicions are confirmed by a model.
            threshold: probability from which danger is suspected.
            confirm_threshold: probability from which a suspicion is confirmed.
            features: names of the features that it was fitted on.
            confirm_features: names of those that the confirming model was fitted on.
        """
        confirm = None
        if any(name.startswith(CONFIRM_PREFIX) for name in arrays):
            own = {name: arrays[CONFIRM_PREFIX + name] for name in CONFIRM_TENSORS}
            confirm = ConfirmModel.from_arrays(own, threshold=confirm_threshold, features=confirm_features)
        own = {name: np.asarray(arrays[name], dtype=np.float64) for name in RISK_TENSORS}
        return cls(**own, threshold=threshold, features=tuple(features), confirm=confirm)

    def to_arrays(self) -> dict[str, Array]:
        """Give the arrays for a bundle, C-contiguous."""
        own = {name: np.ascontiguousarray(getattr(self, name)).reshape(getattr(self, name).shape)
               for name in RISK_TENSORS}  # fmt: skip
        confirm = self.confirm.to_arrays() if self.confirm is not None else {}
        return own | {CONFIRM_PREFIX + name: array for name, array in confirm.items()}

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
        return calibrated(margin, self.calibration)

    def pick(self, features: Array) -> Array:
        """Give the columns that this model looks at of features (..., F) in the order of `FEATURES`."""
        return pick_columns(features, self.features, among=FEATURES)

    def strongest(self, features: Array, *, n: int = 3) -> tuple[str, ...]:
        """Name the features that speak most for danger in one window.

        Args:
            features: (F,) float64.
            n: how many at most.
        """
        pull = (features - self.mean) / self.scale * self.weights * self.calibration[0]
        best = np.argsort(-pull)[:n]
        return tuple(self.features[i] for i in best if pull[i] > 0)


@dataclass(frozen=True, slots=True, eq=False)
class FoldedFit(Generic[Model]):
    """A model, and models that each had not seen some of the subjects.

    Attributes:
        model: fitted on everybody.
        unseen: (N,) the probability of each row by a model that saw nothing of its subject; NaN where none could be
            fitted.
        folds: models fitted without the subjects of a fold, calibrated like `model`.
        fold_of: number of the fold that a subject is in.
    """

    model: Model
    unseen: Array
    folds: tuple[Model, ...]
    fold_of: Mapping[int, int]

    def without(self, subject: int) -> Model | None:
        """Give the model that did not see a subject; None if none could be fitted."""
        fold = self.fold_of.get(subject)
        return None if fold is None else self.folds[fold]


def fit_with_folds(
    features: Array,
    danger: npt.NDArray[np.bool_],
    subject: npt.NDArray[np.int_],
    *,
    n_components: int,
    c: float = 0.3,
    weight: Array | None = None,
    names: tuple[str, ...] = FEATURES,
) -> FoldedFit[RiskModel]:
    """Fit scaler, PCA and a linear classifier, and calibrate its margin on people it did not see.

    Args:
        features: (N, F) float64.
        danger: (N,) True where the window holds the beginning of danger.
        subject: (N,) whose window it is; calibration never splits a subject.
        n_components: principal components kept.
        c: inverse strength of the classifier's L2 penalty.
        weight: (N,) weight of each window; None for one each.
        names: names of the F features.

    Raises:
        ShapeError: there are not both kinds of windows of at least two subjects.
    """
    weight = np.ones(len(features)) if weight is None else weight
    parts, margin = _fit_parts(features, danger, subject, n_components=n_components, c=c, weight=weight)
    calibration = calibrate(margin, danger, weight)
    final = _fit_pipeline(features, danger, n_components=n_components, c=c, weight=weight)
    return FoldedFit(
        model=_as_arrays(final, calibration, names),
        unseen=calibrated(margin, calibration),
        folds=tuple(_as_arrays(pipeline, calibration, names) for pipeline, _ in parts),
        fold_of=number_folds([test for _, test in parts], subject),
    )


def number_folds(tests: Sequence[npt.NDArray[np.intp]], subject: npt.NDArray[np.int_]) -> dict[int, int]:
    """Give for each subject the number of the fold whose rows to judge hold them."""
    return {int(one): number for number, test in enumerate(tests) for one in np.unique(subject[test])}


def _as_arrays(pipeline: Any, calibration: Array, names: tuple[str, ...]) -> RiskModel:
    scaler, pca, linear = (pipeline.named_steps[name] for name in ("scaler", "pca", "linear"))
    return RiskModel(
        mean=scaler.mean_,
        scale=scaler.scale_,
        pca_mean=pca.mean_,
        components=np.ascontiguousarray(pca.components_),
        coef=linear.coef_[0],
        intercept=np.asarray(linear.intercept_[0]),
        calibration=calibration,
        features=names,
    )


def split_by_subject(
    danger: npt.NDArray[np.bool_], subject: npt.NDArray[np.int_], *, at_most: int = 10
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Part windows into folds that never split a subject: rows to fit on and rows to judge.

    Raises:
        ShapeError: there are not both kinds of windows of at least two subjects.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    n_in_danger = len(np.unique(subject[danger]))
    if n_in_danger < 2 or len(np.unique(subject[~danger])) < 2:
        raise ShapeError("a risk model needs windows with and without danger of at least two subjects each.")
    folds = StratifiedGroupKFold(min(at_most, n_in_danger)).split(danger[:, None], danger, subject)
    return [(train, test) for train, test in folds if danger[train].any() and not danger[train].all()]


def _fit_parts(
    features: Array,
    danger: npt.NDArray[np.bool_],
    subject: npt.NDArray[np.int_],
    *,
    n_components: int,
    c: float,
    weight: Array,
) -> tuple[list[tuple[Any, npt.NDArray[np.intp]]], Array]:
    """Fit a pipeline for each fold; give them with the rows they did not see, and (N,) the margins of those rows."""
    margin = np.full(len(features), np.nan)
    parts = []
    for train, test in split_by_subject(danger, subject):
        fitted = _fit_pipeline(features[train], danger[train], n_components=n_components, c=c, weight=weight[train])
        margin[test] = fitted.decision_function(features[test])
        parts.append((fitted, test))
    return parts, margin


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


def calibrate(margin: Array, danger: npt.NDArray[np.bool_], weight: Array) -> Array:
    """Give slope and offset (2,) of the sigmoid that turns margins into probabilities (Platt 1999); NaN is left out."""
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(margin)
    fitted = LogisticRegression(C=1e4).fit(margin[known, None], danger[known], sample_weight=weight[known])
    return np.array([fitted.coef_[0, 0], fitted.intercept_[0]])
