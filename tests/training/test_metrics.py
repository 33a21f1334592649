"""Metrics against numbers worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from har.training.metrics import calibration_error, score_metrics


def test_metrics_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 200)
    scores = rng.dirichlet(np.ones(8), 200)
    scores[np.arange(200), labels] += rng.uniform(0, 0.5, 200)
    names = [f"l{each}" for each in range(8)]

    found = score_metrics(scores, labels, names=names)

    best = scores.argmax(axis=1)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, best, average="macro", labels=range(7)))
    assert found["confusion"]["matrix"] == confusion_matrix(labels, best, labels=range(8)).tolist()
    assert found["top1"] == pytest.approx((best == labels).mean())
    assert found["top5"] >= found["top1"]
    assert found["per_class"]["l7"]["n"] == 0
    assert found["per_class"]["l7"]["recall"] is None


def test_confidence_that_is_right_as_often_as_it_says_has_no_error() -> None:
    scores = np.tile([0.75, 0.25], (400, 1))
    labels = np.repeat([0, 0, 0, 1], 100)

    assert calibration_error(scores, labels) == pytest.approx(0)
    assert calibration_error(scores, np.ones(400, dtype=np.int64)) == pytest.approx(0.75)


def test_nothing_to_judge_gives_no_numbers() -> None:
    found = score_metrics(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), names=["a", "b"])

    assert (found["n"], found["top1"], found["macro_f1"], found["ece"]) == (0, None, None, None)
