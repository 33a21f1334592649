"""How components and thresholds are chosen, and what they are said to cost."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from har.models.risk import RiskModel
from har.models.risk_features import FEATURES
from har.training.card import _budget
from har.training.risk import fit_risk_part
from har.training.risk.budget import Suspicion, Tally, count, play
from har.training.risk.components import MAX_ROWS, _thinned, choose_components
from har.training.risk.fitting import _Trial, _within_budget
from har.training.risk.pictures import draw_components
from har.training.risk.streams import Stream, read_streams
from tests.training.test_risk import FALL_S, GROUND_S, clips_of, day_of, fall_of


def stream_of_fall() -> Stream:
    (stream,) = read_streams([fall_of("A")])
    return stream


def sure_from(stream: Stream, from_s: float, until_s: float) -> np.ndarray:
    """Danger for sure in part of a stream, none elsewhere."""
    return np.array([0.95 if from_s <= reading.time_s <= until_s else 0.01 for reading in stream.readings])


def test_readings_come_in_the_order_of_time_as_often_as_the_service_looks() -> None:
    stream = stream_of_fall()

    times = np.array([reading.time_s for reading in stream.readings])
    assert np.diff(times) == pytest.approx(0.2, abs=0.07)
    assert stream.falls == ((FALL_S, GROUND_S, "fall"),)
    assert stream.daily_s == FALL_S
    assert stream.readings[0].features is None
    assert stream.readings[-1].posture.trunk_angle > 0.4


def test_the_alert_rule_is_played_over_people_in_time_order() -> None:
    fall, (sitting, walking) = stream_of_fall(), read_streams(day_of("B"))
    danger = [sure_from(fall, GROUND_S, GROUND_S + 1), *(np.full(len(s.readings), 0.01) for s in (sitting, walking))]
    streams = [fall, sitting, walking]

    tally = count(streams, [play(s, p, threshold=0.5) for s, p in zip(streams, danger, strict=True)])
    refused = count([fall], [play(fall, danger[0], threshold=0.5, ask=lambda at_s: 0.0)])
    late = play(fall, danger[0], threshold=0.5, ask=lambda at_s: 0.9 if at_s > GROUND_S + 4 else 0.3)

    assert (tally.falls, tally.found, tally.false_alerts, tally.suspicions) == (1, 1, 0, 0)
    assert tally.daily_h == pytest.approx((FALL_S + 10.0) / 3600, rel=0.02)
    assert (refused.found, refused.false_alerts) == (0, 0)
    assert [suspicion.raised_s(0.95) for suspicion in late] == [None]
    assert late[0].raised_s(0.6) == pytest.approx(GROUND_S + 4, abs=0.3)
    assert late[0].raised_s(0.2) == pytest.approx(GROUND_S + 2.5, abs=0.3)


def test_windows_in_a_row_are_one_suspicion_and_an_alert_outside_a_fall_is_false() -> None:
    fall = stream_of_fall()
    calm = replace(fall, falls=())

    tally = count([calm], [play(calm, sure_from(calm, GROUND_S, 10.0), threshold=0.5)])

    assert (tally.falls, tally.false_alerts, tally.suspicions) == (0, 1, 1)


def test_only_alerts_before_a_fall_are_of_daily_life() -> None:
    fall = stream_of_fall()
    before, meanwhile, long_after = 0.5 * FALL_S, GROUND_S + 3.0, GROUND_S + 60.0
    told = [Suspicion(at_s, 0.9, [(at_s, 0.9)]) for at_s in (before, meanwhile, meanwhile + 1.0, long_after)]

    tally = count([fall], [told])

    assert (tally.found, tally.false_alerts, tally.suspicions) == (1, 1, 1)


def test_weak_suspicions_are_asked_about_but_only_those_told_are_counted() -> None:
    fall = stream_of_fall()
    calm = replace(fall, falls=())
    weak = np.where(sure_from(calm, GROUND_S, 10.0) > 0.5, 0.15, 0.0)

    told = play(calm, weak, threshold=0.1, ask=lambda at_s: 0.9)
    tallies = [count([calm], [told], threshold=confirm, tell_from=tell_from)
               for confirm, tell_from in ((0.95, 0.1), (0.95, 0.2), (0.5, 0.2))]  # fmt: skip

    assert [suspicion.probability for suspicion in told] == [0.15]
    assert [(tally.false_alerts, tally.suspicions) for tally in tallies] == [(0, 1), (0, 0), (1, 1)]


def test_a_suspicion_is_as_strong_as_its_strongest_moment() -> None:
    fall = stream_of_fall()
    calm = replace(fall, falls=())
    strong = sure_from(calm, GROUND_S, 10.0) > 0.5
    growing = np.where(strong, np.minimum(0.15 + 0.02 * np.cumsum(strong), 0.24), 0.0)

    (told,) = play(calm, growing, threshold=0.1)

    assert told.probability == pytest.approx(0.24)


def test_a_count_is_told_with_what_it_does_not_rule_out() -> None:
    told = Tally(falls=20, found=19, false_alerts=0, suspicions=6, daily_h=2.0).as_dict()

    assert told["false_alerts_per_day_at_most"] == pytest.approx(3.0 / 2.0 * 24, rel=0.01)
    assert told["suspicions_per_day"] == pytest.approx(72)
    assert told["found_share_95"] == pytest.approx([0.751, 0.999], abs=0.001)


def trial(*, found: int, false: int, suspicions: int = 5, threshold: float = 0.5) -> _Trial:
    n = len(FEATURES)
    model = RiskModel(np.zeros(n), np.ones(n), np.zeros(n), np.ones((1, n)), np.ones(1), np.asarray(0.0), np.ones(2),
                      threshold=threshold)  # fmt: skip
    return _Trial(model, Tally(falls=100, found=found, false_alerts=false, suspicions=suspicions, daily_h=48.0))


def test_of_the_thresholds_within_the_budget_the_one_that_finds_most_falls_is_taken() -> None:
    within, better, over = trial(found=96, false=2), trial(found=97, false=2), trial(found=99, false=3)

    assert _within_budget([within, over, better], per_day=1.0) is better
    assert _within_budget([within, over, better], per_day=1.5) is over


def test_of_equals_the_one_that_suspects_least_is_taken() -> None:
    quiet, loud = trial(found=97, false=0, suspicions=3), trial(found=97, false=0, suspicions=30)

    assert _within_budget([loud, quiet], per_day=1.0) is quiet
    assert _within_budget([loud, quiet], per_day=0.0) is quiet


def test_a_budget_that_costs_too_many_falls_yields() -> None:
    blind, nearest, over = trial(found=60, false=0), trial(found=98, false=7), trial(found=99, false=20)

    assert _within_budget([blind, over, nearest], per_day=1.0) is nearest


def test_the_fewest_components_that_tell_danger_as_well_as_more_are_kept() -> None:
    rng = np.random.default_rng(0)
    n = 1200
    danger, subject = np.arange(n) % 4 == 0, np.arange(n) % 10
    features = rng.normal(0, 0.05, (n, 20))
    features[:, :10] += (1.5 * danger + rng.normal(0, 1, n))[:, None]

    chosen, trials = choose_components(features, danger, subject, np.ones(n), c=0.3)

    assert chosen == 4
    assert [trial.n_components for trial in trials] == [4, 8, 12, 16, 20]
    assert trials[-1].explained_variance == pytest.approx(1.0)
    assert all(a.explained_variance < b.explained_variance for a, b in pairwise(trials))


def test_the_card_and_the_picture_tell_what_was_chosen_and_why() -> None:
    part = fit_risk_part(clips_of(3), alerts_per_day=2.0)

    assert part is not None
    budget = part.meta["budget"]
    assert (budget["alerts_per_day"], budget["falls"]) == (2.0, 3)
    assert budget["found"] <= 3
    assert len(budget["found_share_95"]) == 2
    text = _budget(part.meta)
    assert "at most 2 false alerts per camera and day" in text
    assert f"found {budget['found']} of 3 falls" in text
    picture = draw_components(part.meta)
    assert picture is not None
    assert "variance held" in picture
    assert draw_components({}) is None


@pytest.mark.parametrize(("n_in_danger", "n_others"), [(300, 100_000), (30_000, 500_000), (50_000, 40)])
def test_of_many_windows_some_of_both_kinds_are_looked_at(n_in_danger: int, n_others: int) -> None:
    danger = np.arange(n_in_danger + n_others) < n_in_danger

    rows = _thinned(danger)

    assert len(rows) <= MAX_ROWS
    assert danger[rows].sum() == pytest.approx(min(n_in_danger, MAX_ROWS / 2), rel=0.5)
    assert (~danger[rows]).sum() == pytest.approx(min(n_others, MAX_ROWS - danger[rows].sum()), rel=0.5)


def test_of_thresholds_that_come_to_the_same_the_one_that_asks_least_is_taken() -> None:
    often, seldom = (trial(found=90, false=1, threshold=threshold) for threshold in (0.02, 0.5))

    assert _within_budget([often, seldom], per_day=1.0) is seldom
    assert _within_budget([often, seldom], per_day=0.0) is seldom
