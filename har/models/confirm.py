"""The model that confirms a suspicion: boosted regression trees on what is known of the way down, served as arrays.

Gradient boosting (Friedman 2001, "Greedy function approximation") with scikit-learn, calibrated by a sigmoid (Platt
1999). A linear model of the same features raises several times as many false alerts at equal recall, and one with a
radial kernel about twice as many (`docs/decisions/0015-boosted-trees-confirm.md`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from har.errors import ShapeError
from har.models.confirm_features import CONFIRM_FEATURES
from har.models.risk_features import Array, pick_columns

CONFIRM_TENSORS = ("split_feature", "split_value", "right_child", "leaf_value", "base", "calibration")
"""Names of its arrays; in a bundle's risk.safetensors they stand with `CONFIRM_PREFIX` before them."""
CONFIRM_PREFIX = "confirm_"

_LEAF = -1.0
_MAX_LEAVES = 31
_MAX_BINS = 64
"""Steps of a feature that splits are looked for between; four times as many take three times as long."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfirmModel:
    """Fitted trees as arrays: below a node that splits come all that lie to its left, then all to its right.

    Attributes:
        split_feature: (B, N) number of the feature that a node asks for; -1 for a leaf, and after a tree's last node.
        split_value: (B, N) up to which value the way is to the left, which is the next node.
        right_child: (B, N) number of the node to the right; 0 for a leaf.
        leaf_value: (B, N) what a leaf adds to the margin; learning rate included.
        base: () margin before any tree.
        calibration: (2,) slope and offset of the sigmoid that turns the margin into a probability.
        threshold: probability from which a suspicion is confirmed.
        features: names of what the trees ask for, of `CONFIRM_FEATURES` and in their order.
    """

    split_feature: Array
    split_value: Array
    right_child: Array
    leaf_value: Array
    base: Array
    calibration: Array
    threshold: float = 0.5
    features: tuple[str, ...] = CONFIRM_FEATURES

    def __post_init__(self) -> None:
        trees = self.split_feature.shape
        if len(trees) != 2 or not all(trees):
            raise ShapeError(f"confirming model: split_feature must be (trees, nodes), got {trees}.")
        wanted = {"split_value": trees, "right_child": trees, "leaf_value": trees, "base": (), "calibration": (2,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"confirming model: {name} must be {shape}, got {getattr(self, name).shape}.")
        asked = self.split_feature
        if not np.isin(asked, np.arange(-1, len(self.features))).all():
            raise ShapeError("confirming model: split_feature holds what is no feature.")
        number, right = np.arange(trees[1]), self.right_child
        if ((asked != _LEAF) & ~((right > number + 1) & (right < trees[1]))).any():
            raise ShapeError("confirming model: right_child must come after its parent's left child.")

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], *, threshold: float, features: Sequence[str] = CONFIRM_FEATURES
    ) -> ConfirmModel:
        """Make a model of the arrays named in `CONFIRM_TENSORS`, fitted on features of these names."""
        own = {name: np.asarray(arrays[name], dtype=np.float64) for name in CONFIRM_TENSORS}
        return cls(**own, threshold=threshold, features=tuple(features))

    def pick(self, features: Array) -> Array:
        """Give the columns that this model looks at of features (..., F) in the order of `CONFIRM_FEATURES`."""
        return pick_columns(features, self.features, among=CONFIRM_FEATURES)

    def to_arrays(self) -> dict[str, Array]:
        """Give the arrays for a bundle, C-contiguous."""
        return {name: np.ascontiguousarray(getattr(self, name)).reshape(getattr(self, name).shape)
                for name in CONFIRM_TENSORS}  # fmt: skip

    def margin(self, features: Array) -> Array:
        """Give the sum of the trees (N,) for features (N, F)."""
        # they were fitted in single precision, and are asked in it, or a value at a split goes the other way
        asked = features.astype(np.float32).astype(np.float64)
        trees = np.arange(len(self.split_feature))[None]
        node = np.zeros((len(features), len(self.split_feature)), dtype=np.intp)
        while (splits := (feature := self.split_feature[trees, node].astype(np.intp)) != _LEAF).any():
            value = np.take_along_axis(asked, np.maximum(feature, 0), axis=1)
            is_left = value <= self.split_value[trees, node]
            child = np.where(is_left, node + 1, self.right_child[trees, node].astype(np.intp))
            node = np.where(splits, child, node)
        total: Array = self.base + self.leaf_value[trees, node].sum(axis=1)
        return total

    def probability(self, features: Array) -> Array:
        """Give the probability (N,) in [0, 1] that somebody fell, for features (N, F) of `CONFIRM_FEATURES`."""
        return calibrated(self.margin(features), self.calibration)


def calibrated(margin: Array, calibration: Array) -> Array:
    """Turn margins (N,) into probabilities by a sigmoid of slope and offset (2,) (Platt 1999)."""
    slope, offset = calibration
    probability: Array = 1.0 / (1.0 + np.exp(-np.clip(slope * margin + offset, -60.0, 60.0)))
    return probability


def fit_trees(
    features: Array, fell: npt.NDArray[np.bool_], *, weight: Array, n_trees: int = 400, learning_rate: float = 0.05
) -> ConfirmModel:
    """Fit the trees; the probability is not calibrated yet.

    Args:
        features: (N, F) of `CONFIRM_FEATURES`.
        fell: (N,) the truth, of both kinds.
        weight: (N,) weight of each row.
        n_trees: how many.
        learning_rate: what each tree adds is multiplied by it.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(
        max_iter=n_trees,
        learning_rate=learning_rate,
        max_leaf_nodes=_MAX_LEAVES,
        max_bins=_MAX_BINS,
        min_samples_leaf=max(min(40, len(features) // 20), 1),
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=0,
    ).fit(features.astype(np.float32), fell, sample_weight=weight)
    return as_arrays(fitted)


def as_arrays(fitted: Any) -> ConfirmModel:
    """Give a fitted `HistGradientBoostingClassifier` of two classes as arrays."""
    trees = [predictor.nodes for (predictor,) in fitted._predictors]  # nothing public tells of them
    shape = (len(trees), max(len(nodes) for nodes in trees))
    feature, value, right, leaf = (np.full(shape, fill) for fill in (_LEAF, 0.0, 0.0, 0.0))
    for tree, nodes in enumerate(trees):
        splits = np.flatnonzero(nodes["is_leaf"] == 0)
        leaves = np.flatnonzero(nodes["is_leaf"])
        if (nodes["left"][splits] != splits + 1).any():
            raise ShapeError("this scikit-learn orders the nodes of trees in another way. Use the one that is pinned.")
        feature[tree, splits] = nodes["feature_idx"][splits]
        value[tree, splits] = nodes["num_threshold"][splits]
        right[tree, splits] = nodes["right"][splits]
        leaf[tree, leaves] = nodes["value"][leaves]
    base = np.asarray(float(fitted._baseline_prediction.item()))
    return ConfirmModel(feature, value, right, leaf, base, np.array([1.0, 0.0]))
