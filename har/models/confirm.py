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

CONFIRM_TENSORS = ("split_feature", "split_value", "leaf_value", "base", "calibration")
"""Names of its arrays; in a bundle's risk.safetensors they stand with `CONFIRM_PREFIX` before them."""
CONFIRM_PREFIX = "confirm_"

TREE_DEPTH = 6
_LEAF = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class ConfirmModel:
    """Fitted trees as arrays: node n of a complete binary tree has the children 2n + 1 and 2n + 2.

    Attributes:
        split_feature: (B, N) number of the feature that a node asks for; -1 for a leaf and below it.
        split_value: (B, N) up to which value the way is to the left.
        leaf_value: (B, N) what a leaf adds to the margin; learning rate included.
        base: () margin before any tree.
        calibration: (2,) slope and offset of the sigmoid that turns the margin into a probability.
        threshold: probability from which a suspicion is confirmed.
        features: names of what the trees ask for, of `CONFIRM_FEATURES` and in their order.
    """

    split_feature: Array
    split_value: Array
    leaf_value: Array
    base: Array
    calibration: Array
    threshold: float = 0.5
    features: tuple[str, ...] = CONFIRM_FEATURES

    def __post_init__(self) -> None:
        trees = self.split_feature.shape
        is_complete = len(trees) == 2 and trees[0] > 0 and (trees[1] + 1).bit_count() == 1
        if not is_complete:
            raise ShapeError(f"confirming model: split_feature must be (trees, 2^depth - 1), got {trees}.")
        wanted = {"split_value": trees, "leaf_value": trees, "base": (), "calibration": (2,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f"confirming model: {name} must be {shape}, got {getattr(self, name).shape}.")
        inner = trees[1] // 2
        asked = self.split_feature
        if (asked[:, inner:] != _LEAF).any() or asked.max() >= len(self.features) or asked.min() < _LEAF:
            raise ShapeError("confirming model: split_feature holds what is no feature, or splits a leaf.")

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
        for _ in range(int(self.split_feature.shape[1]).bit_length() - 1):
            feature = self.split_feature[trees, node].astype(np.intp)
            value = np.take_along_axis(asked, np.maximum(feature, 0), axis=1)
            child = 2 * node + 1 + (value > self.split_value[trees, node])
            node = np.where(feature >= 0, child, node)
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
        max_depth=TREE_DEPTH,
        max_leaf_nodes=31,
        min_samples_leaf=max(min(40, len(features) // 20), 1),
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=0,
    ).fit(features.astype(np.float32), fell, sample_weight=weight)
    return as_arrays(fitted)


def as_arrays(fitted: Any) -> ConfirmModel:
    """Give a fitted `HistGradientBoostingClassifier` of two classes, trees no deeper than `TREE_DEPTH`, as arrays."""
    n_nodes = 2 ** (TREE_DEPTH + 1) - 1
    trees = [predictor.nodes for (predictor,) in fitted._predictors]  # nothing public tells of them
    feature, value, leaf = (np.full((len(trees), n_nodes), fill) for fill in (_LEAF, 0.0, 0.0))
    for number, nodes in enumerate(trees):
        left = [(0, 0)]  # scikit-learn's node and ours
        while left:
            theirs, ours = left.pop()
            node = nodes[theirs]
            if node["is_leaf"]:
                leaf[number, ours] = node["value"]
                continue
            feature[number, ours], value[number, ours] = node["feature_idx"], node["num_threshold"]
            left += [(int(node["left"]), 2 * ours + 1), (int(node["right"]), 2 * ours + 2)]
    return ConfirmModel(
        feature, value, leaf, np.asarray(float(fitted._baseline_prediction.item())), np.array([1.0, 0.0])
    )
