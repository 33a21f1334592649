"""The confirming model: the arrays answer as scikit-learn's trees do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from har.errors import ShapeError
from har.models.confirm import CONFIRM_TENSORS, ConfirmModel, as_arrays, fit_trees
from har.models.confirm_features import CONFIRM_FEATURES


def some_moments(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, len(CONFIRM_FEATURES)))
    fell = features[:, 0] * features[:, 6] + 0.3 * rng.normal(size=n) > 0.3
    return features, fell


@pytest.mark.parametrize("depth", [1, 3, None])
def test_the_arrays_answer_as_the_trees_they_are_made_of(depth: int | None) -> None:
    features, fell = some_moments()
    features = features.astype(np.float32).astype(np.float64)
    fitted = HistGradientBoostingClassifier(max_iter=20, max_depth=depth, random_state=0).fit(features, fell)

    model = as_arrays(fitted)

    at_a_split = features.copy()
    at_a_split[:, int(model.split_feature[0, 0])] = model.split_value[0, 0]
    asked = np.concatenate([features, 10 * features, at_a_split]).astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(model.margin(asked), fitted.decision_function(asked), atol=1e-9)


def test_it_tells_falls_by_what_goes_together_and_answers_alike_from_its_arrays() -> None:
    features, fell = some_moments(1500)
    unseen, truth = features[1000:], fell[1000:]

    model = fit_trees(features[:1000], fell[:1000], weight=np.ones(1000))
    again = ConfirmModel.from_arrays(model.to_arrays(), threshold=0.5)

    assert ((model.probability(unseen) >= 0.5) == truth).mean() > 0.8
    np.testing.assert_array_equal(again.probability(unseen), model.probability(unseen))
    assert set(model.to_arrays()) == set(CONFIRM_TENSORS)


def test_a_model_of_fewer_features_finds_them_among_those_computed_now() -> None:
    features, fell = some_moments(300)
    names = CONFIRM_FEATURES[2:30:3]
    picked = features[:, 2:30:3]

    model = fit_trees(picked, fell, weight=np.ones(300), n_trees=5)
    named = ConfirmModel.from_arrays(model.to_arrays(), threshold=0.5, features=names)

    np.testing.assert_array_equal(named.pick(features), picked)
    np.testing.assert_array_equal(named.probability(named.pick(features)), model.probability(picked))
    with pytest.raises(ShapeError, match="split_feature"):
        replace(named, features=names[:1])


def test_arrays_that_are_no_trees_are_refused() -> None:
    model = fit_trees(*some_moments(200), weight=np.ones(200), n_trees=3)
    asks_beyond = model.split_feature.copy()
    asks_beyond[0, 0] = len(CONFIRM_FEATURES)
    for wrong in (asks_beyond, model.split_feature[0], model.split_feature[:0]):
        with pytest.raises(ShapeError, match="confirming model: split_feature"):
            replace(model, split_feature=wrong)
    for wrong_child in (0, 1, model.right_child.shape[1], np.nan):
        goes_astray = model.right_child.copy()
        goes_astray[0, 0] = wrong_child
        with pytest.raises(ShapeError, match="confirming model: right_child"):
            replace(model, right_child=goes_astray)
    with pytest.raises(ShapeError, match="leaf_value must be"):
        replace(model, leaf_value=model.leaf_value[:1])
