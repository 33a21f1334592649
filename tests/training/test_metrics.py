"""Metrics against numbers worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from har.training.metrics import (
    calibration_error,
    choose_unknown,
    refusal,
    risk_coverage,
    score_metrics,
    separation,
    wilson_interval,
)


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


@pytest.mark.parametrize(("n_right", "n"), [(0, 10), (93, 100), (10, 10), (1, 3), (900, 1000)])
def test_intervals_are_those_of_wilson(n_right: int, n: int) -> None:
    wanted = binomtest(n_right, n).proportion_ci(method="wilson")

    assert wilson_interval(n_right / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_without_a_trial_every_share_is_possible() -> None:
    assert wilson_interval(0.0, 0) == (0.0, 1.0)


def some_answers(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Give answers that are right the more often the surer they are."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.45, 1, n)
    scores = np.stack([confidence, (1 - confidence) * 0.6, (1 - confidence) * 0.4], axis=1)
    return scores, np.where(rng.random(n) < confidence, 0, 1).astype(np.int64)


def test_refusing_the_least_sure_answers_makes_the_rest_right_more_often() -> None:
    scores, labels = some_answers()

    curve = risk_coverage(scores, labels)

    coverage, accuracy = ([point[name] for point in curve] for name in ("coverage", "accuracy"))
    assert coverage == sorted(coverage)
    assert (coverage[-1], accuracy[-1]) == (1.0, pytest.approx(np.mean(labels == 0)))
    assert accuracy[len(curve) // 4] > accuracy[-1] + 0.1
    for point in curve[::20]:
        kept = scores.max(axis=1) >= point["threshold"]
        assert point["accuracy"] == pytest.approx(np.mean(labels[kept] == 0))


def test_the_unknown_threshold_keeps_the_share_of_right_answers_that_it_promises() -> None:
    scores, labels = some_answers()

    rule = choose_unknown(scores, labels, keeps=0.9)

    assert rule is not None
    found = refusal(scores, labels, threshold=rule.threshold)
    assert 0.9 <= found["right_kept"] < 0.92
    assert found["wrong_refused"] > 0.15
    assert found["named_right"] > np.mean(labels == 0)
    assert rule.n == np.sum(labels == 0)


def test_no_threshold_is_chosen_by_a_handful_of_answers() -> None:
    scores, labels = some_answers(40)

    assert choose_unknown(scores, labels) is None
    assert choose_unknown(scores[:0], labels[:0]) is None


def test_a_network_that_is_always_certain_still_gives_a_threshold_that_a_bundle_may_hold() -> None:
    rule = choose_unknown(np.tile([1.0, 0.0], (100, 1)), np.zeros(100, dtype=np.int64))

    assert rule is not None
    assert 0 < rule.threshold < 1


def test_separation_is_the_area_under_the_roc_curve() -> None:
    rng = np.random.default_rng(2)
    known, strange = rng.dirichlet([3, 1, 1], 80).round(1), rng.dirichlet([1, 1, 1], 50).round(1)  # with ties
    is_known = np.repeat([1, 0], [80, 50])

    found = separation(known, strange)

    confidence = np.concatenate([known.max(axis=1), strange.max(axis=1)])
    assert found == pytest.approx(roc_auc_score(is_known, confidence))
    assert separation(known, strange[:0]) is None
