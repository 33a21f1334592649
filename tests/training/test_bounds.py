"""Bounds of counted figures, against published values and their definitions."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, poisson

from har.training.bounds import rate_interval, share_interval, sign_test


def test_all_of_31_found_may_still_be_a_true_share_of_89_percent() -> None:
    assert share_interval(31, 31) == (pytest.approx(0.025 ** (1 / 31)), 1.0)
    assert share_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("right", "n"), [(1, 10), (29, 31), (475, 500)])
def test_a_share_at_its_bounds_would_give_the_count_in_one_case_of_forty(right: int, n: int) -> None:
    low, high = share_interval(right, n)

    assert binom.sf(right - 1, n, low) == pytest.approx(0.025)
    assert binom.cdf(right, n, high) == pytest.approx(0.025)


def test_no_alert_in_an_hour_bounds_the_rate_by_three() -> None:
    assert rate_interval(0, exposure=1.0) == (0.0, pytest.approx(-math.log(0.05)))
    assert rate_interval(0, exposure=0.0) == (0.0, None)


@pytest.mark.parametrize("count", [1, 7])
def test_a_rate_at_its_bounds_would_give_the_count_in_one_case_of_forty(count: int) -> None:
    low, high = rate_interval(count, exposure=2.0)

    assert high is not None
    assert poisson.sf(count - 1, 2.0 * low) == pytest.approx(0.025)
    assert poisson.cdf(count, 2.0 * high) == pytest.approx(0.025)


def test_a_difference_in_one_pair_says_nothing_and_in_ten_of_ten_much() -> None:
    assert sign_test(1, 0) == pytest.approx(1.0)
    assert sign_test(0, 0) == 1.0
    assert sign_test(10, 0) == pytest.approx(2 * 0.5**10)
