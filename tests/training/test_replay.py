"""What counts as a fall found, as a false alert, as the right label, and as a difference between two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from har.records import AlertEvent, AlertKind, DangerEvent, DangerKind, Event
from har.training.replay import Moment, Verdict, as_row, compare, gather_alerts, judge, label_seconds, total
from har.training.truth import Fall, Truth

FALL = Fall(4.0, 5.0, 60.0)
ONE_FALL, NO_FALL = Truth((FALL,)), Truth()


def alert_at(at_s: float, kind: AlertKind = "fall", *, name: str = "", by_end: bool = False, floor_s: float = 2.0,
             person: int = 1) -> AlertEvent:  # fmt: skip
    reason = "source_ended" if by_end else None
    return AlertEvent(name or f"alert-{at_s}", "raised", "state", kind, "high", "hall", person, at_s, at_s, at_s,
                      floor_s, 0.9, "why", "m@0", reason)  # fmt: skip


def danger_at(at_s: float, kind: DangerKind = "fall") -> DangerEvent:
    return DangerEvent("hall", 1, "new", kind, 0.9, "why", at_s, at_s, at_s, "m@0")


def verdict_of(events: Sequence[Event], truth: Truth = ONE_FALL, *, name: str = "a.mp4") -> Verdict:
    return judge(events, truth, recording=name, model="m@0", duration_s=60.0)


@pytest.mark.parametrize(
    ("at_s", "found", "false"), [(3.9, False, 1), (4.0, True, 0), (15.0, True, 0), (15.1, False, 1)]
)
def test_a_fall_is_found_from_its_start_to_ten_seconds_after_the_ground(at_s: float, found: bool, false: int) -> None:
    verdict = verdict_of([alert_at(at_s, "risk")])

    assert (verdict.falls[0].alert is not None, len(verdict.false_alerts)) == (found, false)


def test_any_other_alert_of_a_fall_is_false_in_a_recording_of_a_fall_too() -> None:
    events = [alert_at(1.0), alert_at(6.0), alert_at(9.0)]

    verdict = verdict_of(events)

    assert verdict.falls[0].delay_s == pytest.approx(1.0)
    assert [alert.at_s for alert in verdict.false_alerts] == [1.0, 9.0]
    assert len(verdict_of(events, NO_FALL).false_alerts) == 3


def test_two_falls_one_soon_after_the_other_need_an_alert_each() -> None:
    truth = Truth((Fall(4.0, 5.0, 9.0), Fall(9.0, 10.0, 60.0)))

    both = verdict_of([alert_at(7.0), alert_at(12.0)], truth)
    one = verdict_of([alert_at(12.0)], truth)

    assert [found.delay_s for found in both.falls] == [pytest.approx(2.0), pytest.approx(2.0)]
    assert [found.alert is not None for found in one.falls] == [True, False]


def test_floor_alerts_stand_apart_and_are_no_suspicions() -> None:
    verdict = verdict_of([danger_at(1.0), danger_at(20.0, "floor"), alert_at(8.0, "floor")])

    assert verdict.falls[0].alert is None
    assert (len(verdict.floor_alerts), verdict.false_alerts, verdict.suspicions) == (1, (), 1)


def test_an_alert_that_rises_from_floor_to_fall_counts_from_when_it_rose() -> None:
    floor = alert_at(6.0, "floor", name="one")
    risen = replace(floor, kind="fall", change="kind", source_time_s=9.0, floor_s=5.0)

    (alert,) = gather_alerts([floor, risen])

    assert (alert.kind, alert.at_s, alert.floor_s, alert.told_s) == ("fall", 9.0, 5.0, 9.0)


def test_an_alert_at_the_end_of_the_recording_finds_the_fall_but_says_nothing_of_the_delay() -> None:
    figures = total([verdict_of([alert_at(7.0, by_end=True)]), verdict_of([alert_at(7.5)], name="b.mp4")])

    assert (figures["found"], figures["found_by_end"], figures["delays_s"]) == (2, 1, [2.5])


def test_a_false_alert_at_the_end_of_the_recording_is_false_all_the_same() -> None:
    figures = total([verdict_of([alert_at(7.0, by_end=True)], NO_FALL)])

    assert (figures["false_alerts"], figures["false_by_end"]) == (1, 1)


def test_the_time_on_the_floor_is_held_against_the_truth_up_to_the_alerts_last_word() -> None:
    first = alert_at(7.0, name="one", floor_s=2.5)
    timer = replace(first, change="timer", source_time_s=37.0, floor_s=33.0)

    (found,) = verdict_of([first, timer]).falls
    up_again = verdict_of([first, timer], Truth((Fall(4.0, 5.0, 20.0),))).falls[0]

    assert found.floor_error_s == pytest.approx(33.0 - 32.0)
    assert up_again.floor_error_s == pytest.approx(33.0 - 15.0)


def test_totals_give_rates_with_their_bounds() -> None:
    figures = total([verdict_of([alert_at(6.0), alert_at(30.0)]), verdict_of([], name="b.mp4")])

    assert (figures["falls"], figures["found"], figures["missed"]) == (2, 1, 1)
    assert figures["false_per_hour"] == pytest.approx(30.0)
    low, high = figures["false_per_hour_95"]
    assert low < 30.0 < high
    assert figures["found_share_95"] == [pytest.approx(0.0126, abs=1e-4), pytest.approx(0.9874, abs=1e-4)]
    assert figures["by_kind"]["fall"]["falls"] == 2


def moments(*people: tuple[tuple[int, str, float], ...]) -> list[Moment]:
    return [Moment(float(second), each) for second, each in enumerate(people)]


def test_the_label_counts_of_whoever_is_there_for_most_of_the_stretch() -> None:
    ghost, walker = (1, "sit", 0.0), (2, "walk", 0.0)
    seen = moments((ghost,), (ghost, walker), (walker,), (walker,), (walker,))

    seconds = label_seconds(seen, Truth(spans=((0.0, 10.0, "walk"),)))

    assert seconds == {"walk": (4.0, 3.0)}


def test_somebody_found_again_under_another_number_still_counts_and_an_empty_room_does_not() -> None:
    seen = moments(((1, "walk", 0.0),), (), ((2, "walk", 0.0),), ((2, "stand", 0.0),), ())

    seconds = label_seconds(seen, Truth(spans=((0.0, 10.0, "walk"),)))

    assert seconds == {"walk": (3.0, 2.0)}


def test_only_labels_of_the_model_have_a_share() -> None:
    truth = Truth(spans=((0.0, 3.0, "walk"), (3.0, 5.0, "daily")))
    seen = moments(*[((1, "walk", 0.0),)] * 5)
    verdict = judge([], truth, recording="a", model="m", duration_s=5.0, moments=seen)

    assert total([verdict], known_labels=("walk",))["label_share"] == {"walk": {"right": 1.0, "seconds": 2.0}}


def test_two_models_differ_in_the_falls_and_false_alerts_that_only_one_has() -> None:
    first = [verdict_of([alert_at(7.0), alert_at(40.0)]), verdict_of([alert_at(6.0)], name="b.mp4")]
    second = [verdict_of([alert_at(6.0), alert_at(43.0)]), verdict_of([alert_at(30.0)], name="b.mp4")]

    difference = compare(first, second)

    assert [each["recording"] for each in difference["falls"]["only_first"]] == ["b.mp4"]
    assert difference["falls"]["only_second"] == []
    assert difference["false_alerts"]["only_first"] == []
    assert [each["at_s"] for each in difference["false_alerts"]["only_second"]] == [30.0]
    assert difference["delay"] == {"pairs": 1, "second_minus_first_median_s": -1.0, "p": 1.0}


def test_a_verdict_for_machines_has_a_row_for_each_fall() -> None:
    row = as_row(verdict_of([alert_at(7.0), alert_at(40.0)]))

    assert row["falls"][0]["delay_s"] == 2.0
    assert [alert["at_s"] for alert in row["false_alerts"]] == [40.0]
