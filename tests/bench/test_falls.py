"""What counts as a fall found, as a false alert, and as the right label."""

from __future__ import annotations

import math

import pytest

from har.bench.falls import Truth, _label_share, judge_events
from har.records import ActionEvent, AlertEvent, AlertKind, DangerEvent, DangerKind

FALL = Truth("set/fall.mp4", 4.0, 5.0, 60.0, "fall")
DAILY = Truth("set/daily.mp4", math.nan, math.nan, 60.0, "daily")


def alert_at(at_s: float, kind: AlertKind = "fall") -> AlertEvent:
    return AlertEvent("a", "raised", "state", kind, "high", "bench", 1, at_s, at_s, at_s, 2.0, 0.9, "why", "m@0")


def danger_at(at_s: float, kind: DangerKind = "fall") -> DangerEvent:
    return DangerEvent("bench", 1, "new", kind, 0.9, "why", at_s, at_s, at_s, "m@0")


def label_at(at_s: float, label: str, *, person: int = 1) -> ActionEvent:
    return ActionEvent("bench", person, label, 0.9, ((label, 0.9),), at_s, at_s, at_s, "m@0")


@pytest.mark.parametrize(
    ("at_s", "found", "false"), [(3.9, False, 1), (4.0, True, 0), (15.0, True, 0), (15.1, False, 1)]
)
def test_a_fall_is_found_from_its_start_to_ten_seconds_after_the_ground(at_s: float, found: bool, false: int) -> None:
    alert, n_false, _, _ = judge_events([alert_at(at_s, "risk")], FALL)

    assert (alert is not None, n_false) == (found, false)


def test_any_other_alert_of_a_fall_is_false_in_a_fall_video_too() -> None:
    first, later = alert_at(6.0), alert_at(9.0)

    assert judge_events([alert_at(1.0), first, later], FALL)[:2] == (first, 2)
    assert judge_events([first, later], DAILY)[:2] == (None, 2)


def test_floor_alerts_stand_apart_and_are_no_suspicions() -> None:
    events = [danger_at(1.0), danger_at(20.0, "floor"), alert_at(20.0, "floor")]

    assert judge_events(events, DAILY) == (None, 0, 1, 1)


def test_the_share_of_a_label_is_the_time_it_stood_there() -> None:
    walking = Truth("upfall_video/A06_S1_T1_C1.mp4", math.nan, math.nan, 20.0, "daily")

    assert _label_share([label_at(0.0, "stand"), label_at(5.0, "walk")], walking) == pytest.approx(0.75)
    assert _label_share([], walking) == 0.0
    assert _label_share([label_at(0.0, "walk")], DAILY) is None
